//! Links lead somewhere, and the book lists every page.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::page::{self, Page, root};

#[test]
fn every_link_within_the_repository_leads_somewhere() {
    let pages = page::all();
    let anchors: BTreeMap<_, _> = pages
        .iter()
        .map(|page| (&page.path, &page.anchors))
        .collect();
    let mut dead = Vec::new();
    for page in &pages {
        for link in page.links.iter().filter(|link| !is_elsewhere(link)) {
            let (target, anchor) = target(page, link);
            let found = match anchor {
                None => root().join(&target).exists(),
                Some(anchor) => anchors
                    .get(&target)
                    .is_some_and(|anchors| anchors.contains(&anchor)),
            };
            if !found {
                dead.push(format!("{}: {link}", page.path.display()));
            }
        }
    }
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
}

#[test]
fn links_to_other_sites_are_encrypted() {
    for page in page::all() {
        for link in page.links.iter().filter(|link| is_elsewhere(link)) {
            let safe = ["https://", "http://127.0.0.1"];
            let is_safe = safe.iter().any(|start| link.starts_with(start));
            assert!(is_safe, "{}: {link}", page.path.display());
        }
    }
}

/// mdBook makes `.html` of the name of every linked page, also of one that is not in the book.
#[test]
fn pages_of_the_book_link_to_pages_within_it() {
    for page in page::all()
        .iter()
        .filter(|page| page.path.starts_with("docs"))
    {
        for link in page.links.iter().filter(|link| !is_elsewhere(link)) {
            let (target, _) = target(page, link);
            let is_page = target
                .extension()
                .is_some_and(|extension| extension == "md");
            assert!(
                !is_page || target.starts_with("docs"),
                "{}: {link}: link to its folder instead",
                page.path.display()
            );
        }
    }
}

#[test]
fn the_summary_of_the_book_lists_every_page() {
    let pages = page::all();
    let summary = Path::new("docs/SUMMARY.md");
    let in_docs = |page: &&Page| page.path.starts_with("docs") && page.path != summary;
    let there: BTreeSet<_> = pages
        .iter()
        .filter(in_docs)
        .map(|page| page.path.clone())
        .collect();
    let summary = pages.iter().find(|page| page.path == summary).unwrap();
    let listed = summary.links.iter().map(|link| target(summary, link).0);
    assert_eq!(listed.collect::<BTreeSet<_>>(), there);
}

fn is_elsewhere(link: &str) -> bool {
    link.contains("://")
}

/// The file that a link names, from the root of the repository, and the heading in it.
fn target(page: &Page, link: &str) -> (PathBuf, Option<String>) {
    let (file, anchor) = match link.split_once('#') {
        Some((file, anchor)) => (file, Some(anchor.to_owned())),
        None => (link, None),
    };
    if file.is_empty() {
        return (page.path.clone(), anchor);
    }
    let mut target = page.path.parent().unwrap().to_owned();
    for component in Path::new(file).components() {
        match component {
            Component::ParentDir => assert!(target.pop(), "{link} leaves the repository"),
            Component::CurDir => {}
            part => target.push(part),
        }
    }
    (target, anchor)
}

#[test]
fn links_are_followed_from_the_page_that_they_are_on() {
    let page = Page::parse(Path::new("docs/a.md"), "");
    let readme = (PathBuf::from("README.md"), None);
    assert_eq!(target(&page, "../README.md"), readme);
    let b = (PathBuf::from("docs/b.md"), Some("x".to_owned()));
    assert_eq!(target(&page, "b.md#x"), b);
    let here = (PathBuf::from("docs/a.md"), Some("x".to_owned()));
    assert_eq!(target(&page, "#x"), here);
}
