//! A document as its readers see it: blocks of code, links, headings.

use std::fs;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// One Markdown file of the repository.
#[derive(Debug)]
pub(super) struct Page {
    /// From the root of the repository.
    pub(super) path: PathBuf,
    pub(super) blocks: Vec<Block>,
    /// Short code within text.
    pub(super) spans: Vec<String>,
    /// Where links and pictures point to, as written.
    pub(super) links: Vec<String>,
    /// What a link to a heading ends with.
    pub(super) anchors: Vec<String>,
}

/// A block of code.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) language: String,
    pub(super) text: String,
    pub(super) line: usize,
}

impl Page {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(root().join(path)).unwrap();
        Self::parse(path, &text)
    }

    pub(super) fn parse(path: &Path, text: &str) -> Self {
        let mut page = Self {
            path: path.to_owned(),
            blocks: Vec::new(),
            spans: Vec::new(),
            links: Vec::new(),
            anchors: Vec::new(),
        };
        let mut block = None;
        let mut heading = None;
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    block = Some(Block {
                        language: language(&kind),
                        text: String::new(),
                        line: text[..range.start].lines().count() + 1,
                    });
                }
                Event::End(TagEnd::CodeBlock) => page.blocks.extend(block.take()),
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = page.anchor(&heading.take().unwrap_or_default());
                    page.anchors.push(anchor);
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(dest_url.to_string());
                }
                Event::Text(text) => {
                    let code = block.as_mut().map(|block| &mut block.text);
                    if let Some(part) = code.or(heading.as_mut()) {
                        part.push_str(&text);
                    }
                }
                Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                    page.spans.push(text.to_string());
                }
                _ => {}
            }
        }
        page
    }

    /// The anchor of the next heading, as GitHub forms it: a second one of the same words gets a
    /// number.
    fn anchor(&self, heading: &str) -> String {
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let lower = heading.to_lowercase();
        let words: String = lower.chars().filter(kept).collect();
        let words = words.replace(' ', "-");
        let same = |anchor: &&String| {
            let number = anchor
                .strip_prefix(&words)
                .map(|rest| rest.strip_prefix('-').unwrap_or(rest));
            number.is_some_and(|number| number.is_empty() || number.parse::<usize>().is_ok())
        };
        match self.anchors.iter().filter(same).count() {
            0 => words,
            number => format!("{words}-{number}"),
        }
    }

    /// `page.md:LINE`.
    pub(super) fn place(&self, block: &Block) -> String {
        format!("{}:{}", self.path.display(), block.line)
    }
}

fn language(kind: &CodeBlockKind<'_>) -> String {
    match kind {
        CodeBlockKind::Fenced(language) => language.to_string(),
        CodeBlockKind::Indented => String::new(),
    }
}

pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Markdown file of the repository.
pub(super) fn all() -> Vec<Page> {
    let mut paths = Vec::new();
    collect(Path::new(""), &mut paths);
    paths.sort();
    assert!(paths.len() >= 15, "{paths:?}");
    paths.iter().map(|path| Page::read(path)).collect()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = folder.join(&name);
        if entry.file_type().unwrap().is_dir() {
            if !name.starts_with('.') && name != "target" {
                collect(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

#[test]
fn anchors_are_those_of_github() {
    let text = "# `[log]` and, *more*\n\n## A-b_c!\n\n## A-b_c\n\n```\n# no heading\n```\n";
    let page = Page::parse(Path::new("x.md"), text);
    assert_eq!(page.anchors, ["log-and-more", "a-b_c", "a-b_c-1"]);
    assert_eq!(page.blocks[0].text, "# no heading\n");
    assert_eq!(page.blocks[0].line, 7);
}
