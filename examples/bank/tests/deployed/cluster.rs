//! The manifests, as they are written.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use serde_json::Value;

use crate::{documents, list, pod::Pod, program::Program, read, text, texts};

/// What is applied.
pub(crate) struct Cluster {
    pub(crate) objects: Vec<Value>,
    /// By name, each with what is in it.
    pub(crate) config_maps: BTreeMap<String, BTreeMap<String, String>>,
}

/// The kustomization.
pub(crate) fn kustomization() -> Value {
    documents(&read("kubernetes/kustomization.yaml")).remove(0)
}

/// The manifests.
pub(crate) fn cluster() -> &'static Cluster {
    static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::written);
    &CLUSTER
}

impl Cluster {
    fn written() -> Self {
        let kustomization = kustomization();
        let files = texts(&kustomization["resources"]);
        let objects = files.iter().flat_map(|file| documents(&read(&format!("kubernetes/{file}"))));
        let config_maps = list(&kustomization["configMapGenerator"]).iter().map(generated);
        Self { objects: objects.collect(), config_maps: config_maps.collect() }
    }

    pub(crate) fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(move |object| object["kind"] == kind)
    }

    /// The pods of each deployment.
    pub(crate) fn pods(&self) -> Vec<Pod<'_>> {
        let pods = self.of_kind("Deployment").map(|deployment| {
            let template = &deployment["spec"]["template"];
            let [container] = list(&template["spec"]["containers"]) else {
                panic!("one container in each pod, not {}", template["spec"]["containers"]);
            };
            let (command, variables) = (texts(&container["command"]), self.variables(container));
            let name = text(&deployment["metadata"]["name"]);
            let program = Program { command, variables };
            Pod { name, deployment, template, container, program }
        });
        pods.collect()
    }

    fn variables(&self, container: &Value) -> BTreeMap<String, String> {
        let mut variables = BTreeMap::new();
        for from in list(&container["envFrom"]) {
            if let Some(map) = from["configMapRef"]["name"].as_str() {
                let map = self.config_maps.get(map);
                variables.extend(map.unwrap_or_else(|| panic!("{from} is not there")).clone());
            } else {
                variables.extend(secret(text(&from["secretRef"]["name"])));
            }
        }
        for variable in list(&container["env"]) {
            let (name, value) = (text(&variable["name"]), text(&variable["value"]));
            variables.insert(name.to_owned(), value.to_owned());
        }
        variables
    }

    /// What kinds of objects there are, so that none is left unread.
    pub(crate) fn kinds(&self) -> BTreeSet<&str> {
        self.objects.iter().map(|object| text(&object["kind"])).collect()
    }
}

/// A ConfigMap that is made of literals and files.
fn generated(generator: &Value) -> (String, BTreeMap<String, String>) {
    let literals = list(&generator["literals"]).iter().map(|literal| {
        let (name, value) = text(literal).split_once('=').unwrap();
        (name.to_owned(), value.to_owned())
    });
    let files = list(&generator["files"]).iter().map(|file| {
        let file = text(file);
        (file.to_owned(), read(&format!("kubernetes/{file}")))
    });
    (text(&generator["name"]).to_owned(), literals.chain(files).collect())
}

/// The secret that the documentation tells the operator to make.
fn secret(name: &str) -> Option<(String, String)> {
    let written = read("kubernetes/kustomization.yaml");
    let (_, literal) =
        written.split_once(&format!("create secret generic {name} --from-literal="))?;
    let (variable, value) = literal.lines().next()?.split_once('=')?;
    Some((variable.to_owned(), value.trim_matches('\'').to_owned()))
}
