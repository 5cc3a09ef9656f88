//! The manifests of Kubernetes (O5).

use std::{collections::BTreeSet, fs, net::IpAddr, path::Path, time::Duration};

use bank::{api, switches::ControlledWorkers};
use highwater::{
    service::Config,
    stores::{self, MemoryStore},
};
use serde_json::json;

use crate::{
    cluster::{cluster, kustomization},
    list, number, read, text, texts,
};

/// Reached from outside of its container.
fn is_open(address: IpAddr) -> bool {
    address.is_unspecified()
}

#[test]
fn o5_pods_are_started_with_what_their_programs_understand() {
    let cluster = cluster();
    let pods = cluster.pods();
    for pod in &pods {
        pod.program.takes_its_arguments();
        let told = pod.program.told();
        assert!(is_open(told.probes.ip()), "{}: nobody reaches {}", pod.name, told.probes);
        // Else there are variables such as BANK_API_PORT, which are refused.
        assert_eq!(pod.template["spec"]["enableServiceLinks"], false, "{}", pod.name);
        assert!(pod.is_selected_by(&pod.deployment["spec"]["selector"]["matchLabels"]));
    }
    let programs: BTreeSet<_> = pods.iter().map(|pod| pod.program.command[0].as_str()).collect();
    assert_eq!(programs, ["bank-api", "bank-relay", "bank-worker"].into());
    let known = ["Deployment", "Namespace", "PodDisruptionBudget", "Service"].into();
    assert_eq!(cluster.kinds(), known, "what these tests don't look at");
}

#[test]
fn o5_probes_and_prometheus_ask_where_the_service_answers() {
    for pod in cluster().pods() {
        let port = u64::from(pod.program.told().probes.port());
        for (probe, path) in
            [("livenessProbe", "/live"), ("readinessProbe", "/ready"), ("startupProbe", "/live")]
        {
            let asks = &pod.container[probe]["httpGet"];
            assert_eq!(asks["path"], path, "{probe} of {}", pod.name);
            assert_eq!(pod.port(&asks["port"]), port, "{probe} of {}", pod.name);
        }
        let annotations = &pod.template["metadata"]["annotations"];
        assert_eq!(annotations["prometheus.io/scrape"], "true", "{}", pod.name);
        assert_eq!(annotations["prometheus.io/port"], port.to_string(), "{}", pod.name);
    }
}

#[test]
fn o5_pods_have_longer_to_end_than_their_programs_take() {
    for pod in cluster().pods() {
        let grace = number(&pod.template["spec"]["terminationGracePeriodSeconds"]);
        let (grace, takes) = (Duration::from_secs(grace), pod.longest_end());
        assert!(grace > takes, "{}: {grace:?} is no longer than {takes:?}", pod.name);
    }
}

#[test]
fn o5_there_is_one_relay_and_several_workers_up_to_one_for_each_partition() {
    let cluster = cluster();
    for pod in cluster.pods() {
        let spec = &pod.deployment["spec"];
        let (replicas, strategy) = (number(&spec["replicas"]), &spec["strategy"]);
        if pod.program.is("bank-relay") {
            assert_eq!(replicas, 1, "one leads, and the others would do nothing");
            let one_after_the_other = json!({ "maxSurge": 1, "maxUnavailable": 0 });
            let recreated = strategy["type"] == "Recreate";
            assert!(recreated || strategy["rollingUpdate"] == one_after_the_other, "{strategy}");
            continue;
        }
        assert!(replicas > 1, "{} is gone while its one pod is replaced", pod.name);
        if pod.program.is("bank-worker") {
            let partitions = pod.program.told().partitions;
            assert!(replicas <= partitions, "{replicas} share {partitions} partitions");
        }
        let mut budgets = cluster.of_kind("PodDisruptionBudget");
        let mine = budgets.find(|it| pod.is_selected_by(&it["spec"]["selector"]["matchLabels"]));
        assert_eq!(mine.unwrap()["spec"]["maxUnavailable"], 1, "{}", pod.name);
    }
}

#[test]
fn services_lead_to_ports_at_which_their_pods_listen() {
    let cluster = cluster();
    let (pods, mut led_to) = (cluster.pods(), 0);
    for service in cluster.of_kind("Service") {
        let selected = pods.iter().filter(|pod| pod.is_selected_by(&service["spec"]["selector"]));
        let [pod] = selected.collect::<Vec<_>>()[..] else { panic!("{service} selects not one") };
        let page = pod.program.page().unwrap();
        for port in list(&service["spec"]["ports"]) {
            assert_eq!(pod.port(&port["targetPort"]), u64::from(page.port()), "{service}");
            led_to += 1;
        }
        assert!(is_open(page.ip()), "nobody reaches {page}");
    }
    assert_eq!(led_to, 1, "the page, and no door to the probes");
}

#[tokio::test]
async fn o4_the_file_of_policies_is_understood_and_is_where_the_api_looks_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = cluster();
    for pod in cluster.pods() {
        let Some(looked_for) = pod.program.told().policies else { continue };
        let volumes = list(&pod.template["spec"]["volumes"]);
        let mut mounts = list(&pod.container["volumeMounts"]).iter();
        let mount = mounts.find(|it| looked_for.starts_with(text(&it["mountPath"]))).unwrap();
        let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap();
        let files = &cluster.config_maps[text(&volume["configMap"]["name"])];
        let within = looked_for.strip_prefix(text(&mount["mountPath"])).unwrap();
        let file = folder.path().join("policies.toml");
        fs::write(&file, &files[within.to_str().unwrap()]).unwrap();

        let mut config = Config::of("memory:");
        config.policies = Some(file);
        let bank = stores::on(MemoryStore::default()).build();
        api::router(&bank, ControlledWorkers::None, &config).await.map(drop).unwrap();
    }
    let looks = |pod: &crate::pod::Pod<'_>| pod.program.told().policies.is_some();
    let looking: Vec<_> = cluster.pods().into_iter().filter(looks).collect();
    assert!(looking.iter().all(|pod| pod.program.is("bank-api")) && looking.len() == 1);
    // An edit reaches pods that run, which another name would not.
    let kustomization = kustomization();
    let mut generators = list(&kustomization["configMapGenerator"]).iter();
    let policies = generators.find(|it| it["name"] == "bank-policies").unwrap();
    assert_eq!(policies["options"]["disableNameSuffixHash"], true);
}

#[test]
fn every_manifest_in_the_folder_is_applied_into_the_namespace_that_it_makes() {
    let (kustomization, folder) = (kustomization(), Path::new(env!("CARGO_MANIFEST_DIR")));
    let files = fs::read_dir(folder.join("kubernetes")).unwrap();
    let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let manifests: BTreeSet<_> =
        files.filter(|file| file.ends_with(".yaml") && file != "kustomization.yaml").collect();
    assert_eq!(manifests, texts(&kustomization["resources"]).into_iter().collect());
    let namespaces: Vec<_> = cluster().of_kind("Namespace").collect();
    let [namespace] = namespaces[..] else { panic!("{namespaces:?}") };
    assert_eq!(namespace["metadata"]["name"], kustomization["namespace"]);
    let command = format!("--namespace {}", text(&kustomization["namespace"]));
    assert!(read("kubernetes/kustomization.yaml").contains(&command), "the secret is elsewhere");
}
