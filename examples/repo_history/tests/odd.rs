//! Repositories of unusual kinds.

use std::path::Path;

use highwater::prelude::*;

use super::{
    generate::{File, Stream, history},
    sandbox::{Sandbox, git},
};
use crate::problem::Problem;

/// A repository of two commits with a file.
fn small() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.commit(&[("a", b"1\n2\n")]);
    sandbox.commit(&[("a", b"1\n2\n3\n"), ("b", b"")]);
    sandbox
}

async fn is_like_git(sandbox: &Sandbox, repository: &Path) {
    let differences = sandbox.run_on(repository, &sandbox.db(), &[]).await.unwrap();
    assert!(differences.is_empty(), "{differences:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_no_repository_is_told() {
    let sandbox = small();
    let folder = tempfile::tempdir().unwrap();
    let error = sandbox.run_on(folder.path(), &sandbox.db(), &[]).await.unwrap_err();
    assert!(error.to_string().contains("not a git repository"), "{error}");
    let error = sandbox.run_on(&folder.path().join("none"), &sandbox.db(), &[]).await.unwrap_err();
    assert!(error.to_string().contains("No such file"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_without_commits_is_told() {
    let error = Sandbox::new().run(&[]).await.unwrap_err();
    assert!(matches!(error, Problem::NoCommit(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_repository_a_linked_working_tree_and_a_folder_in_it_are_the_same_repository() {
    let sandbox = small();
    is_like_git(&sandbox, &sandbox.repository()).await;
    let head = sandbox.open().await.log().head().await.unwrap();
    let (bare, linked) = (sandbox.path("bare.git"), sandbox.path("linked"));
    sandbox.git(&["clone", "--quiet", "--bare", ".", bare.to_str().unwrap()]);
    sandbox.git(&["worktree", "add", "--quiet", linked.to_str().unwrap()]);
    let folder = linked.join("folder");
    std::fs::create_dir(&folder).unwrap();
    for repository in [bare, linked, folder] {
        is_like_git(&sandbox, &repository).await;
    }
    assert_eq!(sandbox.open().await.log().head().await.unwrap(), head);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shallow_clone_begins_where_it_was_cut_off() {
    let sandbox = small();
    let shallow = sandbox.path("shallow");
    let url = format!("file://{}", sandbox.repository().display());
    sandbox.git(&["clone", "--quiet", "--depth=1", &url, shallow.to_str().unwrap()]);
    is_like_git(&sandbox, &shallow).await;
    let error = sandbox.run(&[]).await.unwrap_err();
    assert!(matches!(error, Problem::OtherRepository { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_with_longer_hashes_is_recorded() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("sha256");
    std::fs::create_dir(&folder).unwrap();
    for arguments in [
        &["init", "--quiet", "--object-format=sha256", "."][..],
        &["commit", "--quiet", "--allow-empty", "--message=empty"],
    ] {
        assert!(git(&folder, arguments).status().unwrap().success());
    }
    std::fs::write(folder.join("a"), "1\n").unwrap();
    for arguments in [&["add", "a"][..], &["commit", "--quiet", "--message=a"]] {
        assert!(git(&folder, arguments).status().unwrap().success());
    }
    is_like_git(&sandbox, &folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_and_configuration_do_not_change_what_is_read() {
    let sandbox = Sandbox::with(&history(300, fastrand::u64(..)));
    is_like_git(&sandbox, &sandbox.repository()).await;
    let head = sandbox.open().await.log().head().await.unwrap();
    let order = sandbox.path("order");
    std::fs::write(&order, "*plain*\n").unwrap();
    std::fs::write(sandbox.repository().join(".gitattributes"), "* -diff\n").unwrap();
    for (name, value) in [
        ("log.showRoot", "false"),
        ("log.diffMerges", "off"),
        ("diff.renames", "copies"),
        ("diff.algorithm", "patience"),
        ("diff.noprefix", "true"),
        ("diff.indentHeuristic", "false"),
        ("diff.ignoreSubmodules", "all"),
        ("diff.submodule", "log"),
        ("diff.orderFile", order.to_str().unwrap()),
        ("core.bigFileThreshold", "1"),
        ("color.ui", "always"),
    ] {
        sandbox.git(&["config", name, value]);
    }
    // Were anything read otherwise, the ids would be refused as those of other commands.
    assert!(sandbox.run(&["--resend"]).await.unwrap().is_empty());
    assert_eq!(sandbox.open().await.log().head().await.unwrap(), head);
}

/// They are inside the repository, and git can't be told to leave them aside. So the lines that it
/// doesn't count are counted by ourselves.
#[tokio::test(flavor = "multi_thread")]
async fn attributes_that_can_not_be_left_aside_do_not_hide_the_lines() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.repository().join(".git/info/attributes"), "* -diff\n").unwrap();
    sandbox.commit(&[("a", b"1\n2\n"), ("b", b"\0\n")]);
    sandbox.commit(&[("a", b"1\n2\n3"), ("b", b"text\n")]);
    is_like_git(&sandbox, &sandbox.repository()).await;
    let file = sandbox.open().await.aggregate::<crate::file::File>("a");
    assert_eq!(file.load(AsOf::Now).await.unwrap().lines, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_too_long_is_told_with_its_commit_and_all_before_it_is_recorded() {
    let mut stream = Stream::new();
    let first = stream.commit("main", "author", &[]);
    stream.put(&b"x".repeat(1_019), &File::plain(b"long enough\n"));
    stream.commit("main", "author", &[first]);
    stream.put(&b"x".repeat(1_020), &File::plain(b"too long\n"));
    let sandbox = Sandbox::with(&stream.bytes);
    let error = sandbox.run(&[]).await.unwrap_err();
    let Problem::Path { commit, .. } = &error else { panic!("{error}") };
    assert_eq!(commit, &sandbox.git(&["rev-parse", "main"]));
    assert!(sandbox.run(&["--tree", "main~1"]).await.unwrap().is_empty());
    assert!(sandbox.run(&["--limit", "0"]).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_larger_than_an_append_is_recorded_in_parts() {
    let mut stream = Stream::new();
    let first = stream.commit("main", "author", &[]);
    (0..4_500).for_each(|file| stream.put(format!("old/{file}").as_bytes(), &File::plain(b"1\n")));
    let second = stream.commit("main", "author", &[first]);
    stream.rename(b"old", b"new");
    stream.commit("main", "author", &[second]);
    stream.delete(b"new");
    let sandbox = Sandbox::with(&stream.bytes);
    is_like_git(&sandbox, &sandbox.repository()).await;
    let events = sandbox.open().await.log().head().await.unwrap().get();
    assert_eq!(events, 4 * 4_500 + 3 * 2);
    assert!(sandbox.run(&["--tree", "main~2"]).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_branch_and_another_repository_are_refused_and_an_older_commit_is_not() {
    let sandbox = small();
    is_like_git(&sandbox, &sandbox.repository()).await;
    sandbox.git(&["checkout", "--quiet", "--detach", "HEAD~1"]);
    is_like_git(&sandbox, &sandbox.repository()).await;
    sandbox.commit(&[("other", b"1\n")]);
    for options in [&[][..], &["--resend"]] {
        let error = sandbox.run(options).await.unwrap_err();
        assert!(matches!(error, Problem::OtherBranch { .. }), "{error}");
    }
    let error = sandbox.run_on(&small_of_another_time().repository(), &sandbox.db(), &[]).await;
    assert!(matches!(error.unwrap_err(), Problem::OtherRepository { .. }));
}

fn small_of_another_time() -> Sandbox {
    let mut stream = Stream::new();
    stream.commit("main", "author", &[]);
    Sandbox::with(&stream.bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_not_recorded_has_no_tree() {
    let sandbox = small();
    let error = sandbox.run(&["--tree", "HEAD"]).await.unwrap_err();
    assert!(matches!(error, Problem::NotRecorded(_)), "{error}");
    for name in ["--tree=--all", "--tree=nonsense", "--tree=HEAD:a"] {
        let error = sandbox.run(&[name]).await.unwrap_err();
        assert!(matches!(error, Problem::NoSuchCommit(_)), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_git_that_fails_in_the_middle_is_no_end_of_the_history() {
    let sandbox = small();
    let blob = sandbox.git(&["rev-parse", "HEAD:a"]);
    let object = format!(".git/objects/{}/{}", &blob[..2], &blob[2..]);
    std::fs::remove_file(sandbox.repository().join(object)).unwrap();
    let error = sandbox.run(&[]).await.unwrap_err();
    assert!(matches!(error, Problem::Git { .. }), "{error}");
    assert!(sandbox.run(&["--tree", "HEAD~1"]).await.unwrap().is_empty());
    let error = sandbox.run(&["--tree", "HEAD"]).await.unwrap_err();
    assert!(matches!(error, Problem::NotRecorded(_)), "{error}");
}
