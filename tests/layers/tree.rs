//! The modules of the crate, and the module to which a path leads: through `super`, `self`, renames and re-exports.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::Source;

/// The module that a file is: `database/check/mod.rs` is `[database, check]`, `lib.rs` is `[]`.
pub type Module = Vec<String>;

pub struct Tree {
    pub sources: BTreeMap<String, Source>,
    files: BTreeMap<Module, String>,
    /// The direct child modules of each module.
    children: BTreeMap<Module, BTreeSet<String>>,
}

/// What a path names.
pub enum Named {
    /// A module of this crate, and the item in it.
    Here { module: Module, item: Vec<String> },
    /// An item of another crate, by its whole path.
    Elsewhere(Vec<String>),
}

pub fn module(file: &str) -> Module {
    let mut parts: Module = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib")) {
        parts.pop();
    }
    parts
}

impl Tree {
    /// Reads the files, except modules for tests.
    pub fn new(texts: &BTreeMap<String, String>) -> Self {
        let mut sources: BTreeMap<String, Source> =
            texts.iter().map(|(file, text)| (file.clone(), Source::parse(text))).collect();
        let of_tests: BTreeSet<Module> = sources
            .iter()
            .flat_map(|(file, source)| {
                source.test_modules.iter().map(|name| [module(file), vec![name.clone()]].concat())
            })
            .collect();
        sources.retain(|file, _| !of_tests.iter().any(|test| module(file).starts_with(test)));
        let files: BTreeMap<Module, String> = sources.keys().map(|file| (module(file), file.clone())).collect();
        let mut children: BTreeMap<Module, BTreeSet<String>> = BTreeMap::new();
        for module in files.keys() {
            for (depth, name) in module.iter().enumerate() {
                children.entry(module[..depth].to_vec()).or_default().insert(name.clone());
            }
        }
        Self { sources, files, children }
    }

    /// Every path that a file names, resolved.
    pub fn named(&self, file: &str) -> Vec<Named> {
        let source = &self.sources[file];
        let here = module(file);
        let names = source.names();
        let imports = source.imports.iter().map(|import| import.path.clone());
        let whole = source.paths.iter().map(|path| match names.get(path[0].as_str()) {
            // An import that resolves to itself (`use a;` and `a::b`) is not followed forever.
            Some(full) if full[0] != path[0] || full.len() > 1 => [full, &path[1..]].concat(),
            _ => path.clone(),
        });
        let local = |path: &Vec<String>| path.len() == 1 && !matches!(path[0].as_str(), "crate" | "self" | "super");
        // Outside of `use`, a single name is a local one, a type or a keyword.
        imports.chain(whole.filter(|path| !local(path))).map(|path| self.resolve(&here, &path, 0)).collect()
    }

    /// Follows a path from a module.
    fn resolve(&self, from: &Module, path: &[String], depth: usize) -> Named {
        let mut at = from.clone();
        let mut rest = path;
        match rest[0].as_str() {
            "crate" | "heirloom" => {
                at.clear();
                rest = &rest[1..];
            }
            "self" | "super" => {
                while let Some(part @ ("self" | "super")) = rest.first().map(String::as_str) {
                    if part == "super" {
                        at.pop();
                    }
                    rest = &rest[1..];
                }
            }
            first if !self.is_module(&at, first) => return Named::Elsewhere(rest.to_vec()),
            _ => {}
        }
        self.walk(at, rest, depth)
    }

    /// Goes down into modules, and along the re-exports of each, as far as the path leads.
    fn walk(&self, mut at: Module, mut rest: &[String], depth: usize) -> Named {
        while let Some((first, behind)) = rest.split_first() {
            if self.is_module(&at, first) {
                at.push(first.clone());
                rest = behind;
                continue;
            }
            let source = self.files.get(&at).map(|file| &self.sources[file]);
            let exported = source
                .into_iter()
                .flat_map(|source| &source.imports)
                .find(|import| import.name.as_ref() == Some(first));
            // A cycle of re-exports does not compile; the bound only ends this test.
            if let Some(import) = exported.filter(|import| import.path != rest && depth < 8) {
                return self.resolve(&at, &[&import.path, behind].concat(), depth + 1);
            }
            break;
        }
        Named::Here { module: at, item: rest.to_vec() }
    }

    fn is_module(&self, parent: &Module, name: &str) -> bool {
        self.children.get(parent).is_some_and(|children| children.contains(name))
    }

    /// The circles among the files and folders of each folder: the folder, and the names that use each other.
    pub fn circles(&self) -> BTreeSet<(String, Vec<String>)> {
        let mut uses: BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        for file in self.sources.keys().filter(|file| !matches!(file.as_str(), "main.rs" | "lib.rs")) {
            let from = module(file);
            for named in self.named(file) {
                let Named::Here { module: to, .. } = named else { continue };
                let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
                if let (Some(a), Some(b)) = (from.get(common), to.get(common)) {
                    uses.entry(from[..common].to_vec()).or_default().entry(a.clone()).or_default().insert(b.clone());
                }
            }
        }
        let mut circles = BTreeSet::new();
        for (folder, edges) in &uses {
            for start in edges.keys() {
                let in_both_ways = |other: &&String| reaches(edges, start, other) && reaches(edges, other, start);
                let group: Vec<String> = edges.keys().filter(in_both_ways).cloned().collect();
                if group.len() > 1 {
                    circles.insert((folder.join("/"), group));
                }
            }
        }
        circles
    }
}

/// Returns whether uses lead from one name to another, directly or not.
fn reaches(edges: &BTreeMap<String, BTreeSet<String>>, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(name) = open.pop() {
        for next in edges.get(name).into_iter().flatten() {
            if next == to {
                return true;
            }
            if seen.insert(next.as_str()) {
                open.push(next);
            }
        }
    }
    false
}
