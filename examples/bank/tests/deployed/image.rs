//! The Dockerfile.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    cluster::{cluster, kustomization},
    documents, list, number,
    program::Program,
    read, text, texts,
};

/// What follows this word on the last line that begins with it.
fn last(instruction: &str) -> String {
    let file = read("Dockerfile");
    let mut lines = file.lines().rev();
    let found = lines.find_map(|line| line.strip_prefix(instruction)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("the Dockerfile has no {instruction}")).to_owned()
}

#[test]
fn every_program_that_is_started_is_in_the_image() {
    let file = read("Dockerfile");
    assert!(file.contains(
        "cargo build --locked --release --package highwater-bank --features kafka,otlp "
    ));
    let built = file.split_whitespace().filter_map(|word| word.strip_prefix("target/release/"));
    let built: BTreeSet<_> = built.collect();
    for pod in cluster().pods() {
        assert!(built.contains(pod.program.command[0].as_str()), "{:?}", pod.program.command);
    }
    let command: Value = serde_json::from_str(&last("CMD")).unwrap();
    let program = Program { command: texts(&command), variables: [].into() };
    program.takes_its_arguments();
    assert!(built.contains(program.command[0].as_str()), "{:?}", program.command);
}

#[test]
fn the_image_exposes_the_ports_that_its_programs_listen_at() {
    let exposed = last("EXPOSE");
    let exposed: BTreeSet<u64> = exposed.split(' ').map(|port| port.parse().unwrap()).collect();
    let pods = cluster().pods();
    let ports = pods.iter().flat_map(|pod| list(&pod.container["ports"]));
    let ports = ports.map(|port| number(&port["containerPort"]));
    assert_eq!(ports.collect::<BTreeSet<_>>(), exposed);
}

#[test]
fn the_image_has_one_name_and_one_user_everywhere() {
    let kustomization = kustomization();
    let [image] = list(&kustomization["images"]) else { panic!("{}", kustomization["images"]) };
    let name = text(&image["name"]);
    assert!(read("Dockerfile").contains(&format!(" --tag {name} .")));
    let compose = documents(&read("compose.yaml")).remove(0);
    let services = compose["services"].as_object().unwrap();
    for service in services.values().filter(|service| service.get("build").is_some()) {
        assert_eq!(service["image"], name);
    }
    let user = last("USER");
    for pod in cluster().pods() {
        assert_eq!(pod.container["image"], name, "{}", pod.name);
        let context = &pod.template["spec"]["securityContext"];
        let runs_as = [&context["runAsUser"], &context["runAsGroup"]].map(number);
        assert_eq!(format!("{}:{}", runs_as[0], runs_as[1]), user, "{}", pod.name);
    }
}
