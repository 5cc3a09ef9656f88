//! Documentation is compiled, complete, and names tests that exist.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// Every file with this ending in a folder and the folders in it.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let path = format!("{folder}/{name}");
        if root().join(&path).is_dir() {
            files.extend(self::files(&path, ending));
        } else if name.ends_with(ending) {
            files.push(path.into());
        }
    }
    files.sort();
    files
}

/// The graded examples, in their order.
fn examples() -> Vec<(String, String)> {
    let numbered = |name: &str| name.starts_with(|c: char| c.is_ascii_digit());
    let examples = files("examples", ".rs").into_iter().filter_map(|path| {
        let name = path.file_stem()?.to_str()?.to_owned();
        numbered(&name).then(|| (name, read(path)))
    });
    examples.collect()
}

#[test]
fn every_page_with_rust_in_it_is_compiled() {
    let compiled = read("src/lib.rs");
    let mut pages = files("docs", ".md");
    pages.push("README.md".into());
    let with_rust = pages.iter().filter(|page| read(page).contains("```rust"));
    let with_rust: Vec<_> = with_rust.map(|page| page.to_str().unwrap()).collect();
    assert!(with_rust.contains(&"README.md") && with_rust.contains(&"docs/guide/macros.md"));
    for page in with_rust {
        assert!(compiled.contains(&format!("include_str!(\"../{page}\")")), "{page}");
    }
}

#[test]
fn every_example_says_how_to_run_it_and_which_is_next() {
    let (examples, guide) = (examples(), read("docs/guide/examples.md"));
    assert!(examples.len() >= 11);
    for (index, (name, source)) in examples.iter().enumerate() {
        let doc: String = source.lines().take_while(|line| line.starts_with("//!")).collect();
        assert!(doc.contains(&format!("`cargo run --example {name}")), "{name}");
        assert!(guide.contains(&format!("| `{name}` |")), "{name} is not in the guide");
        let next = examples.get(index + 1).map_or("", |(next, _)| next);
        let last = source.lines().rfind(|line| line.contains("println!(\"next: ")).unwrap();
        assert!(last.contains(next), "{name} names another next example than {next}");
    }
}

/// Returns the texts between backticks that read like the name of a test: at least four words joined by underscores.
fn tests_named_in(text: &str) -> Vec<&str> {
    let reads_like_one = |name: &&str| {
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        name.chars().all(is_word) && name.matches('_').count() >= 3
    };
    text.split('`').skip(1).step_by(2).filter(reads_like_one).collect()
}

#[test]
fn every_test_that_the_contracts_name_is_there() {
    let folders = ["core", "examples", "macros", "projections", "src", "stores", "tests"];
    let sources = folders.iter().flat_map(|folder| files(folder, ".rs"));
    let sources: String = sources.map(read).collect();
    let there: HashSet<&str> = sources
        .split("fn ")
        .skip(1)
        .filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next())
        .collect();
    let contracts = read("docs/contracts.md");
    let named = tests_named_in(&contracts);
    assert!(named.len() > 300, "only {} names are found", named.len());
    let missing: Vec<_> = named.into_iter().filter(|name| !there.contains(name)).collect();
    assert!(missing.is_empty(), "there are no {missing:?}");
}

/// The folders of the repository that documents name files of.
const FOLDERS: [&str; 11] = [
    ".ci/",
    "benches/",
    "core/",
    "docs/",
    "examples/",
    "macros/",
    "projections/",
    "scripts/",
    "src/",
    "stores/",
    "tests/",
];

/// Returns the paths between backticks. `{a,b}` stands for several.
fn paths_named_in(text: &str) -> Vec<String> {
    let is_path = |name: &&str| {
        FOLDERS.iter().any(|folder| name.starts_with(folder))
            && !name.contains([' ', '*', '<', '\n'])
    };
    let variants = |name: &str| match name.split_once('{').zip(name.split_once('}')) {
        Some(((before, _), (inner, after))) => {
            let names = inner.rsplit('{').next().unwrap().split(',');
            names.map(|name| format!("{before}{name}{after}")).collect()
        }
        None => vec![name.to_owned()],
    };
    text.split('`').skip(1).step_by(2).filter(is_path).flat_map(variants).collect()
}

#[test]
fn every_path_that_documents_name_is_there() {
    let mut named = 0;
    for page in files("docs", ".md") {
        for path in paths_named_in(&read(&page)) {
            named += 1;
            assert!(root().join(&path).exists(), "{}: there is no {path}", page.display());
        }
    }
    assert!(named > 100, "only {named} paths are found");
}
