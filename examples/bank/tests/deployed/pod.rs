//! The pods of a deployment.

use serde_json::Value;

use crate::{duration, list, number, program::Program, text};

/// What a deployment says, with its one container.
pub(crate) struct Pod<'a> {
    pub(crate) name: &'a str,
    pub(crate) deployment: &'a Value,
    pub(crate) template: &'a Value,
    pub(crate) container: &'a Value,
    pub(crate) program: Program,
}

impl Pod<'_> {
    /// The number of a port, by its name or as it is.
    pub(crate) fn port(&self, named: &Value) -> u64 {
        let Some(name) = named.as_str() else { return number(named) };
        let ports = list(&self.container["ports"]);
        let port = ports.iter().find(|port| port["name"] == name);
        let port = port.unwrap_or_else(|| panic!("{} has no port {name}", self.name));
        number(&port["containerPort"])
    }

    /// Whether it has all of these labels.
    pub(crate) fn is_selected_by(&self, labels: &Value) -> bool {
        let (wanted, has) = (labels.as_object().unwrap(), &self.template["metadata"]["labels"]);
        !wanted.is_empty() && wanted.iter().all(|(name, value)| has[name] == *value)
    }

    /// How long the end of the container may take, the wait before it is told included.
    pub(crate) fn longest_end(&self) -> std::time::Duration {
        let wait = &self.container["lifecycle"]["preStop"]["exec"]["command"];
        let waits = list(wait).get(1).map_or("0", text);
        assert!(wait.is_null() || wait[0] == "sleep", "{wait} takes nobody knows how long");
        self.program.told().drain + duration(&format!("{waits}s"))
    }
}
