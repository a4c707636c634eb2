//! `files`: a component can read the folders that the manifest names, and can change nothing in them.

use crate::harness::{Host, refused, web};

/// A folder with `notes/hello.txt`, and `secret.txt` beside it.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("notes")).unwrap();
    std::fs::write(folder.path().join("notes/hello.txt"), "hello").unwrap();
    std::fs::write(folder.path().join("secret.txt"), "hush").unwrap();
    std::os::unix::fs::symlink("../secret.txt", folder.path().join("notes/link.txt")).unwrap();
    folder
}

#[tokio::test]
async fn a_component_reads_its_files_and_cannot_write_them() {
    let manifest = web("files = [{ source = \"notes\", destination = \"/kept/notes\" }]");
    let host = Host::start_in(folder(), &manifest, &[]);
    assert_eq!(host.ok("/read?/kept/notes/hello.txt").await, "hello");
    for path in ["/kept/notes/hello.txt", "/kept/notes/new.txt"] {
        let (status, told) = host.get(&format!("/write?{path}")).await;
        assert_eq!(status, 502, "{path}: {told}");
    }
    assert_eq!(host.ok("/read?/kept/notes/hello.txt").await, "hello");
    for path in ["/kept/secret.txt", "/kept/notes/../secret.txt", "/kept/notes/link.txt", "/notes/hello.txt"] {
        let (status, told) = host.get(&format!("/read?{path}")).await;
        assert_eq!(status, 502, "{path}: {told}");
    }
}

#[tokio::test]
async fn a_manifest_that_lies_elsewhere_is_told_where_its_files_are() {
    let root = folder();
    let host = Host::start_with(&web("files = [\"notes\"]"), &["--root", root.path().to_str().unwrap()]);
    assert_eq!(host.ok("/read?/notes/hello.txt").await, "hello");
    assert!(root.path().join(".spin").is_dir());
}

#[tokio::test]
async fn a_folder_that_is_only_named_keeps_its_path() {
    let host = Host::start_in(folder(), &web("files = [\"notes\"]"), &[]);
    assert_eq!(host.ok("/read?/notes/hello.txt").await, "hello");
}

#[test]
fn files_that_only_spin_serves_are_named_at_start() {
    let cases = [
        ("files = [\"*.txt\"]", "the pattern \"*.txt\""),
        ("files = [\"spin.toml\"]", "the file \"spin.toml\""),
        ("files = [\"nowhere\"]", "there is no folder \"nowhere\""),
        ("files = [{ source = \"..\", destination = \"/up\" }]", "outside of the folder"),
        ("files = [{ source = \".\", destination = \"/../up\" }]", "leads outside"),
        ("files = [\".\"]\nexclude_files = [\"*.db\"]", "exclude_files is not served"),
    ];
    for (files, expected) in cases {
        let (code, said) = refused(&web(files), &[]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(expected), "{expected:?} is not in: {said}");
    }
}
