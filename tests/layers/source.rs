//! Reads a source file as tokens, without comments and unit tests, and finds every path that it names.

use std::collections::{BTreeMap, BTreeSet};

/// The code of one file.
pub struct Source {
    tokens: Vec<String>,
    /// Modules that are declared only for tests; their files are not part of the program.
    pub test_modules: BTreeSet<String>,
    /// The imports of `use`: the whole path, and the local name.
    pub imports: Vec<Import>,
    /// Every path outside of `use`, as written.
    pub paths: Vec<Vec<String>>,
    /// Text literals.
    pub texts: Vec<String>,
    /// Macros that are called.
    pub macros: BTreeSet<String>,
}

/// One leaf of a `use` tree.
#[derive(Clone)]
pub struct Import {
    pub path: Vec<String>,
    /// The name in this file; none for `as _` and `*`.
    pub name: Option<String>,
}

impl Source {
    pub fn parse(text: &str) -> Self {
        let (tokens, test_modules) = without_tests(tokens(text));
        let mut source = Self {
            texts: tokens.iter().filter(|token| token.starts_with('"')).cloned().collect(),
            tokens,
            test_modules,
            imports: Vec::new(),
            paths: Vec::new(),
            macros: BTreeSet::new(),
        };
        source.read();
        source
    }

    /// The local names of `use`, with their paths.
    pub fn names(&self) -> BTreeMap<&str, &[String]> {
        self.imports.iter().filter_map(|import| Some((import.name.as_deref()?, import.path.as_slice()))).collect()
    }

    /// Whether the code changes the module tree: a module inside the file, or a file under another name.
    pub fn moves_modules(&self) -> Option<&'static str> {
        let pairs =
            |first: &str, third: &str| self.tokens.windows(3).any(|window| window[0] == first && window[2] == third);
        if pairs("mod", "{") {
            return Some("a module inside the file");
        }
        if self.tokens.windows(4).any(|window| window[0] == "[" && window[1] == "path" && window[2] == "=") {
            return Some("#[path]");
        }
        (self.tokens.windows(2).any(|window| window == ["extern", "crate"])).then_some("extern crate")
    }

    fn read(&mut self) {
        let tokens = std::mem::take(&mut self.tokens);
        let mut at = 0;
        while at < tokens.len() {
            let token = tokens[at].as_str();
            if token == "use" && is_statement(&tokens, at) {
                at = tree(&tokens, at + 1, &[], &mut self.imports);
            } else if is_name(token) && !is_visibility(&tokens, at) {
                let mut path = vec![tokens[at].clone()];
                while at + 2 < tokens.len() && tokens[at + 1] == "::" && is_name(&tokens[at + 2]) {
                    at += 2;
                    path.push(tokens[at].clone());
                }
                if tokens.get(at + 1).is_some_and(|next| next == "!") {
                    self.macros.insert(path[path.len() - 1].clone());
                }
                self.paths.push(path);
            }
            at += 1;
        }
        self.tokens = tokens;
    }
}

/// A `use` for a closure's captures (`use<'a>`) is not a statement.
fn is_statement(tokens: &[String], at: usize) -> bool {
    tokens.get(at + 1).is_some_and(|next| is_name(next) || next == "::" || next == "{")
}

/// `pub(crate)` and `pub(super)` do not use a module.
fn is_visibility(tokens: &[String], at: usize) -> bool {
    at > 1 && tokens[at - 1] == "(" && tokens[at - 2] == "pub"
}

/// Reads a `use` tree that starts at a token, and returns the position of what follows it.
fn tree(tokens: &[String], mut at: usize, prefix: &[String], imports: &mut Vec<Import>) -> usize {
    let mut path = prefix.to_vec();
    loop {
        match tokens.get(at).map_or("", String::as_str) {
            "::" => at += 1,
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    at = tree(tokens, at, &path, imports);
                    if tokens.get(at).is_some_and(|token| token == ",") {
                        at += 1;
                    }
                }
                return at + 1;
            }
            "*" => {
                path.push("*".into());
                imports.push(Import { path, name: None });
                return at + 1;
            }
            "as" => {
                let name = tokens.get(at + 1).filter(|name| *name != "_").cloned();
                imports.push(Import { path: without_self(path), name });
                return at + 2;
            }
            name if is_name(name) => {
                path.push(name.to_owned());
                at += 1;
            }
            _ => {
                let path = without_self(path);
                imports.push(Import { name: path.last().cloned(), path });
                return at;
            }
        }
    }
}

/// `a::{self}` is `a`.
fn without_self(mut path: Vec<String>) -> Vec<String> {
    if path.len() > 1 && path[path.len() - 1] == "self" {
        path.pop();
    }
    path
}

fn is_name(token: &str) -> bool {
    token.starts_with(|char: char| char.is_alphabetic() || char == '_') && token != "as"
}

/// Removes every item that is only for tests, and returns the names of test modules in separate files.
fn without_tests(tokens: Vec<String>) -> (Vec<String>, BTreeSet<String>) {
    const TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut code = Vec::new();
    let mut modules = BTreeSet::new();
    let mut at = 0;
    while at < tokens.len() {
        if !tokens[at..].iter().zip(TEST).all(|(token, wanted)| token == wanted) || tokens.len() - at < TEST.len() {
            code.push(tokens[at].clone());
            at += 1;
            continue;
        }
        at += TEST.len();
        if let Some(module) = tokens[at..].windows(3).next().filter(|window| window[0] == "mod" && window[2] == ";") {
            modules.insert(module[1].clone());
        }
        let mut depth = 0_i32;
        while at < tokens.len() {
            match tokens[at].as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            at += 1;
            let ends = matches!(tokens[at - 1].as_str(), ";" | "," | "}");
            if depth <= 0 && ends {
                break;
            }
        }
    }
    (code, modules)
}

/// Splits a text into names, `::`, text literals and single characters. Comments, blanks, numbers and lifetimes are
/// skipped.
fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let mut tokens = Vec::new();
    let mut index = 0;
    while index < chars.len() {
        let start = index;
        match chars[index] {
            '/' if at(index + 1) == '/' => {
                while index < chars.len() && chars[index] != '\n' {
                    index += 1;
                }
            }
            '/' if at(index + 1) == '*' => {
                while index < chars.len() && !(chars[index] == '*' && at(index + 1) == '/') {
                    index += 1;
                }
                index += 2;
            }
            '"' => {
                index = end_of_text(&chars, index);
                tokens.push(chars[start..index].iter().collect());
            }
            'r' | 'b' | 'c' if raw(&chars, index).is_some() => {
                let (open, close) = raw(&chars, index).unwrap();
                index = open;
                while index < chars.len() && !chars[index..].starts_with(&close) {
                    index += 1;
                }
                tokens.push(format!("\"{}\"", chars[open..index.min(chars.len())].iter().collect::<String>()));
                index += close.len();
            }
            '\'' if at(index + 1) == '\\' => {
                index += 3;
                while index < chars.len() && chars[index] != '\'' {
                    index += 1;
                }
                index += 1;
            }
            '\'' if at(index + 2) == '\'' => index += 3,
            '\'' => {
                index += 1;
                while at(index).is_alphanumeric() || at(index) == '_' {
                    index += 1;
                }
            }
            ':' if at(index + 1) == ':' => {
                tokens.push("::".into());
                index += 2;
            }
            char if char.is_alphanumeric() || char == '_' => {
                while at(index).is_alphanumeric() || at(index) == '_' {
                    index += 1;
                }
                // A raw identifier such as `r#type` is the name after the prefix.
                let is_mark = index == start + 1 && char == 'r' && at(index) == '#';
                if !is_mark && !char.is_numeric() {
                    tokens.push(chars[start..index].iter().collect());
                }
            }
            char => {
                if !char.is_whitespace() {
                    tokens.push(char.into());
                }
                index += 1;
            }
        }
    }
    tokens
}

/// Where a text literal that starts at a quote ends.
fn end_of_text(chars: &[char], mut index: usize) -> usize {
    index += 1;
    while index < chars.len() && chars[index] != '"' {
        index += if chars[index] == '\\' { 2 } else { 1 };
    }
    (index + 1).min(chars.len())
}

/// Where the text of a raw literal (`r#"…"#`, `br"…"`) starts, and its terminator.
fn raw(chars: &[char], index: usize) -> Option<(usize, Vec<char>)> {
    let rest = &chars[index..];
    let prefix = rest.iter().take_while(|char| matches!(char, 'r' | 'b' | 'c')).count();
    if prefix > 2 || rest.get(prefix - 1) != Some(&'r') {
        return None;
    }
    let marks = rest[prefix..].iter().take_while(|char| **char == '#').count();
    let close = std::iter::once('"').chain(std::iter::repeat_n('#', marks)).collect();
    (rest.get(prefix + marks) == Some(&'"')).then_some((index + prefix + marks + 1, close))
}
