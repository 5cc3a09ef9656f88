//! Documentation is compiled, complete, and names tests that exist; the tables of files have every file.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    collections::HashSet,
    fs, iter,
    path::{Path, PathBuf},
};

use highwater::Code;

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
    let folders = ["cli", "core", "examples", "macros", "projections", "src", "stores", "tests"];
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
const FOLDERS: [&str; 12] = [
    ".ci/",
    "benches/",
    "cli/",
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

#[test]
fn every_error_code_has_a_page_and_is_in_the_lists_of_them() {
    let summary = read("docs/SUMMARY.md");
    for code in Code::ALL {
        let title = code.title().trim_end_matches('.');
        let page = format!("docs/errors/{code}.md");
        assert!(root().join(&page).exists(), "there is no {page}");
        assert!(read(&page).starts_with(&format!("# {code}: {title}\n")), "the title of {page}");
        let line = format!("- [{code}: {title}](errors/{code}.md)\n");
        assert!(summary.contains(&line), "docs/SUMMARY.md has no line {line}");
        assert!(is_in_index(*code, title), "docs/errors/index.md has no row of {code} {title}");
    }
    let pages = files("docs/errors", ".md").len();
    assert_eq!(pages, Code::ALL.len() + 1, "beside the index each page has a code");
}

/// Returns true if the index has a row of a code, with its name and its title.
fn is_in_index(code: Code, title: &str) -> bool {
    let start = format!("| [{code}]({code}.md) | `");
    let index = read("docs/errors/index.md");
    let mut rows = index.lines().filter_map(|line| line.strip_prefix(&start)?.split_once('`'));
    rows.any(|(name, row)| {
        let definition = format!(" {name} = \"{code}\";");
        row.ends_with(&format!("| {title}. |"))
            && read("core/src/error/code.rs").contains(&definition)
    })
}

/// The number of modules from which on a file must list them.
const LISTED_FROM: usize = 5;

/// Returns the names in the first column of the table in the head of a file, if it has one.
fn names_listed_in(source: &str) -> Vec<&str> {
    let rows = source.lines().filter_map(|line| line.strip_prefix("//! | "));
    let first = rows.filter_map(|row| row.split('|').next());
    let mut names: Vec<_> = first.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    names.sort_unstable();
    names
}

/// Returns the modules of a file that have a file of their own or are public, but for tests.
fn modules_of(source: &str) -> Vec<&str> {
    let before = iter::once("").chain(source.lines());
    let mut modules: Vec<_> = before
        .zip(source.lines())
        .filter(|(before, _)| *before != "#[cfg(test)]")
        .filter_map(|(_, line)| module_declared_in(line))
        .chain(modules_reexported_in(source))
        .filter(|name| !name.starts_with("__"))
        .collect();
    modules.sort_unstable();
    modules
}

fn module_declared_in(line: &str) -> Option<&str> {
    let (visibility, name) = line.split_once("mod ")?;
    match visibility {
        "" => name.strip_suffix(';'),
        "pub " => name.strip_suffix(';').or_else(|| name.strip_suffix(" {")),
        _ if visibility.starts_with("pub(") => name.strip_suffix(';'),
        _ => None,
    }
}

/// Returns the names in lower case that a file re-exports from the other crates.
fn modules_reexported_in(source: &str) -> impl Iterator<Item = &str> {
    let items = source.split("\npub use highwater_").skip(1);
    let items = items.filter_map(|rest| rest.split(';').next());
    let names = items.flat_map(|items| items.split([',', '{', '}']));
    let last = names.filter_map(|name| name.trim().rsplit([':', ' ']).next());
    last.filter(|name| !name.is_empty() && !name.contains(|c: char| c.is_uppercase()))
}

#[test]
fn every_table_of_files_lists_the_modules_of_its_file() {
    let is_head =
        |path: &PathBuf| ["lib.rs", "main.rs", "mod.rs"].iter().any(|name| path.ends_with(name));
    let sources = FOLDERS.iter().flat_map(|folder| files(folder.trim_end_matches('/'), ".rs"));
    let mut tables = 0;
    for path in sources.filter(is_head) {
        let source = read(&path);
        let listed = names_listed_in(&source);
        let modules = modules_of(&source);
        if !listed.is_empty() || modules.len() >= LISTED_FROM {
            assert_eq!(listed, modules, "{}: the table, and the modules", path.display());
            tables += 1;
        }
    }
    assert!(tables > 50, "only {tables} tables are found");
}
