//! M14, O4: policies in a file that is edited while the program runs.

use std::{fs, path::PathBuf, time::Duration};

use highwater::{
    Code, Highwater, Views as _,
    consistency::{Level, Operation},
    policy::{Override, Policies, PolicyChange, Rule},
    stores::{self, MemoryStore},
};

const SHOW: Operation = Operation::standard("account.show");
const OFFER: Operation = Operation::critical("transfer.offer");

struct Filed {
    _folder: tempfile::TempDir,
    path: PathBuf,
    bank: Highwater,
}

impl Filed {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policies.toml");
        let bank = stores::on(MemoryStore::default()).build();
        bank.policies().register(&[SHOW, OFFER]).unwrap();
        Self { _folder: folder, path, bank }
    }

    fn write(&self, text: &str) {
        fs::write(&self.path, text).unwrap();
    }

    fn load(&self, text: &str) -> highwater::Result<()> {
        self.write(text);
        self.policies().load(&self.path)
    }

    fn policies(&self) -> Policies {
        self.bank.policies()
    }

    fn level(&self) -> Level {
        self.policies().ruled(&SHOW, "alice").policy.level
    }

    async fn until(&self, level: Level) {
        let waited = tokio::time::timeout(Duration::from_secs(30), async {
            while self.level() != level {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("it is not {level:?} after 30 s"));
    }
}

const STRONG: &str = r#"
    by = "ann"
    why = "customers miss their deposits"
    [operations."account.show"]
    policy = { level = "strong", budget = "50ms", fallback = "fail" }
"#;

#[test]
fn m14_a_file_sets_the_policies_of_operations() {
    let filed = Filed::new();
    filed.load(STRONG).unwrap();
    let ruled = filed.policies().ruled(&SHOW, "alice");
    assert_eq!(ruled.policy.level, Level::Strong);
    assert_eq!(ruled.policy.budget, Duration::from_millis(50));
    let rollout = r#"
        [operations."account.show"]
        policy = { tier = "auxiliary", level = { bounded = "2s" } }
        rollout = { percent = 100, policy = { level = "strong" } }
    "#;
    filed.load(rollout).unwrap();
    assert_eq!(filed.level(), Level::Strong);
    filed.load("").unwrap();
    assert_eq!(filed.policies().ruled(&SHOW, "alice").policy, SHOW.policy());
}

#[test]
fn m14_a_malformed_file_is_refused_with_the_mistake_and_changes_nothing() {
    let filed = Filed::new();
    filed.load(STRONG).unwrap();
    for (text, names) in [
        ("[operations.\"account.shwo\"]", vec!["account.shwo", "account.show", "transfer.offer"]),
        (
            "[operations.\"account.show\"]\npolicy = { levl = 'strong' }",
            vec!["levl", "policies.toml"],
        ),
        ("[operations.\"account.show\"]\npolicy = { level = 'strnog' }", vec!["level", "strong"]),
        ("[operations.\"account.show\"]\npolicy = { budget = 'soon' }", vec!["budget"]),
        ("[operations.\"account.show\"]\nrollout = { percent = 3 }", vec!["policy"]),
        (
            "[operations.\"account.show\"]\nrollout = { percent = 101, policy = {} }",
            vec!["account.show", "101"],
        ),
        (
            "[operations.\"transfer.offer\"]\npolicy = { level = 'eventual' }",
            vec!["transfer.offer", "critical"],
        ),
        ("operations = [", vec!["policies.toml"]),
        ("by = 'ann'\nwho = 'bob'", vec!["who"]),
    ] {
        let error = filed.load(text).unwrap_err();
        assert_eq!(error.code(), Code::BAD_CONFIGURATION, "{text}");
        for name in names {
            assert!(error.to_string().contains(name), "no {name} in: {error}");
        }
        assert_eq!(filed.level(), Level::Strong, "after {text}");
    }
    let missing = filed.policies().load(filed.path.with_file_name("nothing.toml")).unwrap_err();
    assert!(missing.to_string().contains("nothing.toml"), "{missing}");
    fs::write(&filed.path, [0xff, 0xfe]).unwrap();
    assert_eq!(filed.policies().load(&filed.path).unwrap_err().code(), Code::BAD_CONFIGURATION);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn o4_an_edit_of_the_file_is_applied_and_a_bad_one_changes_nothing() {
    let filed = Filed::new();
    filed.load(STRONG).unwrap();
    let _following = filed.policies().follow().await.unwrap();
    let eventual = "[operations.\"account.show\"]\npolicy = { level = \"eventual\" }";
    filed.write(eventual);
    filed.until(Level::Eventual).await;
    filed.write("operations = [");
    // A valid edit is applied after an invalid one, and after the file was missing.
    filed.write(STRONG);
    filed.until(Level::Strong).await;
    fs::remove_file(&filed.path).unwrap();
    assert_eq!(filed.level(), Level::Strong);
    filed.write(eventual);
    filed.until(Level::Eventual).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn o4_a_recorded_policy_overrides_the_file_until_it_is_cleared() {
    let filed = Filed::new();
    filed.load(STRONG).unwrap();
    let eventual = Rule::of_all(Override::default().reading(Level::Eventual));
    let change = || PolicyChange::by("ann", "a test");
    filed.policies().change(change().set(&SHOW, eventual)).await.unwrap();
    assert_eq!(filed.level(), Level::Eventual);
    filed.load(STRONG).unwrap();
    assert_eq!(filed.level(), Level::Eventual);
    filed.policies().change(change().clear(&SHOW)).await.unwrap();
    assert_eq!(filed.level(), Level::Strong);
}
