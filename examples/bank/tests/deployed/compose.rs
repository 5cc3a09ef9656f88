//! The compose file (O5).

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use serde_json::Value;

use crate::{
    cluster::cluster, documents, duration, list, number, program::Program, read, text, texts,
};

fn compose() -> Value {
    documents(&read("compose.yaml")).remove(0)
}

/// The services that are the bank's own, by name.
fn own(compose: &Value) -> Vec<(&str, &Value, Program)> {
    let services = compose["services"].as_object().unwrap().iter();
    let own = services.filter(|(_, service)| service["image"] == "highwater-bank");
    let own = own.map(|(name, service)| {
        let (command, variables) = (texts(&service["command"]), variables(service));
        (name.as_str(), service, Program { command, variables })
    });
    own.collect()
}

fn variables(service: &Value) -> BTreeMap<String, String> {
    let variables = service["environment"].as_object().unwrap().iter();
    variables.map(|(name, value)| (name.clone(), text(value).to_owned())).collect()
}

#[test]
fn o5_containers_are_started_with_what_their_programs_understand() {
    let compose = compose();
    let own = own(&compose);
    let programs: Vec<_> = own.iter().map(|(_, _, program)| program.command[0].as_str()).collect();
    assert_eq!(programs, ["bank-api", "bank-relay", "bank-worker"]);
    for (name, service, program) in own {
        program.takes_its_arguments();
        let told = program.told();
        assert!(told.probes.ip().is_unspecified(), "{name}: nobody reaches {}", told.probes);
        let grace = duration(text(&service["stop_grace_period"]));
        assert!(grace > told.drain, "{name}: {grace:?} is no longer than {:?}", told.drain);
        let replicas = service["deploy"]["replicas"].as_u64().unwrap_or(1);
        if program.is("bank-worker") {
            assert!((2..=told.partitions).contains(&replicas), "{replicas} workers");
        } else {
            assert_eq!(replicas, 1, "{name}");
        }
    }
}

#[test]
fn o5_containers_are_asked_for_their_readiness_where_it_is() {
    for (name, service, program) in own(&compose()) {
        let test = &service["healthcheck"]["test"];
        assert_eq!([&test[0], &test[1], &test[2]], ["CMD", "bash", "-c"], "{name}");
        let (asks, port) = (text(&test[3]), program.told().probes.port());
        assert!(asks.contains(&format!("/dev/tcp/127.0.0.1/{port} ")), "{name}: {asks}");
        assert!(asks.contains("'GET /ready HTTP/1.0"), "{name}: {asks}");
    }
}

/// The check itself, asked of a listener in place of the program.
#[test]
fn o5_a_container_is_healthy_while_it_says_that_it_is_ready() {
    for (name, service, program) in own(&compose()) {
        let check = text(&service["healthcheck"]["test"][3]).replace("$$", "$");
        let here = format!("/{} ", program.told().probes.port());
        let is_healthy = |port: u16| {
            let check = check.replace(&here, &format!("/{port} "));
            let run = Command::new("bash").args(["-c", &check]).stderr(Stdio::null()).status();
            run.unwrap().success()
        };
        for (answer, healthy) in [("200 OK", true), ("503 Service Unavailable", false)] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let asked = thread::spawn(move || answer_once(&listener, answer));
            assert_eq!(is_healthy(port), healthy, "{name}: {answer}");
            assert_eq!(asked.join().unwrap(), "GET /ready HTTP/1.0");
        }
    }
}

/// Answers one request, and tells which it was.
fn answer_once(listener: &TcpListener, answer: &str) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    let lines = BufReader::new(&stream).lines();
    let lines: Vec<_> = lines.map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
    write!(stream, "HTTP/1.0 {answer}\r\n\r\n").unwrap();
    lines.into_iter().next().unwrap()
}

#[test]
fn the_page_is_published_to_this_machine_alone() {
    let compose = compose();
    for (name, service, program) in own(&compose) {
        let ports = texts(&service["ports"].as_array().cloned().unwrap_or_default().into());
        let Some(page) = program.page() else {
            assert!(ports.is_empty(), "{name} publishes {ports:?}");
            continue;
        };
        assert!(page.ip().is_unspecified(), "nobody reaches {page}");
        let [port] = &ports[..] else { panic!("{name} publishes {ports:?}") };
        assert!(port.starts_with("127.0.0.1:"), "{port} is open to others");
        assert!(port.ends_with(&format!(":{}", page.port())), "{port} leads elsewhere than {page}");
    }
}

#[test]
fn the_bank_waits_for_the_servers_that_its_variables_name() {
    let compose = compose();
    for (name, service, program) in own(&compose) {
        let store = program.variables["BANK_STORE"].as_str();
        let (_, host) = store.split_once('@').unwrap();
        let (postgres, _) = host.split_once('/').unwrap();
        let kafka = program.variables["BANK_KAFKA__SERVERS"].as_str();
        let (broker, _) = kafka.split_once(':').unwrap();
        for server in [postgres, broker] {
            let waits = &service["depends_on"][server]["condition"];
            assert_eq!(*waits, "service_healthy", "{name} for {server}");
            assert!(!list(&compose["services"][server]["healthcheck"]["test"]).is_empty());
        }
        let advertised = &compose["services"][broker]["environment"]["KAFKA_ADVERTISED_LISTENERS"];
        assert_eq!(*advertised, format!("PLAINTEXT://{kafka}"));
    }
    // They are the ones that the tests use.
    let tested = documents(&read("../../compose.yaml")).remove(0);
    for server in ["postgres", "kafka"] {
        let (here, there) = (&compose["services"][server], &tested["services"][server]);
        assert_eq!(text(&here["image"]), text(&there["image"]));
    }
}

/// What is said here is said there as well, if with other values.
#[test]
fn the_compose_file_and_the_manifests_say_the_same_things() {
    let compose = compose();
    for (name, _, program) in own(&compose) {
        let pods = cluster().pods();
        let pod = pods.iter().find(|pod| pod.program.is(&program.command[0])).unwrap();
        assert_eq!(pod.program.command, program.command);
        for variable in program.variables.keys() {
            assert!(pod.program.variables.contains_key(variable), "{name}: {variable}");
        }
        assert_eq!(pod.program.told().probes, program.told().probes);
    }
}

#[test]
fn the_image_is_built_from_files_that_are_there() {
    let compose = compose();
    for (_, service, _) in own(&compose) {
        let context =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(text(&service["build"]["context"]));
        assert!(context.join(text(&service["build"]["dockerfile"])).is_file());
        assert!(context.join("Cargo.lock").is_file(), "what is built is locked");
        assert!(number(&service["healthcheck"]["retries"]) > 0);
    }
}
