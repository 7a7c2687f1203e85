//! The text of a `.env` file, which belongs to an application and holds its secrets.
//!
//! It answers lookups by name only, and no warning repeats the text of a line.

use std::collections::BTreeMap;

/// The variables of a `.env` file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DotEnv {
    variables: BTreeMap<String, (String, usize)>,
    /// The lines that could not be read, and why.
    pub warnings: Vec<(usize, &'static str)>,
}

impl DotEnv {
    /// Reads `NAME=value` lines: blanks around the `=`, an optional `export`, `#` comments, values in single quotes
    /// (verbatim) or double quotes (with `\n`, `\t`, `\"`, `\\`), both over several lines. Nothing is expanded. The
    /// last assignment of a name wins. A line that cannot be read is left out, with a warning.
    pub fn parse(text: &str) -> Self {
        let mut found = Self::default();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (mut rest, mut line) = (text, 1);
        while !rest.is_empty() {
            let (read, after) = assignment(rest);
            match read {
                Ok(Some((name, value))) => {
                    found.variables.insert(name.to_owned(), (value, line));
                }
                Ok(None) => {}
                Err(why) => found.warnings.push((line, why)),
            }
            line += rest[..rest.len() - after.len()].matches('\n').count();
            rest = after;
        }
        found
    }

    /// Returns the value of a variable and its line. An empty value counts as none.
    pub fn get(&self, name: &str) -> Option<(&str, usize)> {
        self.variables.get(name).map(|(value, line)| (value.as_str(), *line)).filter(|(value, _)| !value.is_empty())
    }
}

type Assignment<'t> = Result<Option<(&'t str, String)>, &'static str>;

/// Reads one assignment and returns it with the text after its last line.
fn assignment(text: &str) -> (Assignment<'_>, &str) {
    let (line, after) = text.split_once('\n').unwrap_or((text, ""));
    let line = line.trim();
    let line = line.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t'])).map_or(line, str::trim_start);
    if line.is_empty() || line.starts_with('#') {
        return (Ok(None), after);
    }
    let Some((name, value)) = line.split_once('=') else {
        // A name alone is how some tools declare a variable that they take from elsewhere.
        let wrong = line.contains(char::is_whitespace);
        return (if wrong { Err("is not NAME=value") } else { Ok(None) }, after);
    };
    let name = name.trim_end();
    if name.is_empty() || name.contains(char::is_whitespace) {
        return (Err("is not NAME=value"), after);
    }
    let value = value.trim_start();
    if let Some(quote) = value.chars().next().filter(|first| matches!(first, '"' | '\'')) {
        // `value` is a slice of `text`: the offset of one in the other is where the quoted text starts, which may span
        // several lines.
        let start = value.as_ptr() as usize - text.as_ptr() as usize + 1;
        return match quoted(&text[start..], quote) {
            Some((value, rest)) => {
                let (tail, after) = rest.split_once('\n').unwrap_or((rest, ""));
                let tail = tail.trim();
                let clean = tail.is_empty() || tail.starts_with('#');
                (if clean { Ok(Some((name, value))) } else { Err("has text after its closing quote") }, after)
            }
            None => (Err("has an unclosed quote"), after),
        };
    }
    let comment =
        value.char_indices().find(|(at, char)| *char == '#' && (*at == 0 || value[..*at].ends_with([' ', '\t'])));
    let value = comment.map_or(value, |(at, _)| &value[..at]).trim_end();
    (Ok(Some((name, value.to_owned()))), after)
}

/// Reads up to the closing quote; returns the value and what follows the quote.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            _ if char == quote => return Some((value, &text[at + 1..])),
            '\\' if quote == '"' => match chars.next()?.1 {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                'r' => value.push('\r'),
                escaped @ ('"' | '\\' | '$') => value.push(escaped),
                other => value.extend(['\\', other]),
            },
            _ => value.push(char),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_forms_are_read() {
        let text = "\u{feff}A=1\r\n# B=2\n\nexport C = three # comment\nD='four # not \
         \\n'\nE=\"five\\n\\\"x\\\"\" # c\nF=\nG=a#b\n  H=\"two\nlines\"\nI=9\nA=10\nBARE\nJ=# c\nexported=k\nL=a=b";
        let read = DotEnv::parse(text);
        for (name, value) in [
            ("A", Some(("10", 12))),
            ("B", None),
            ("C", Some(("three", 4))),
            ("D", Some(("four # not \\n", 5))),
            ("E", Some(("five\n\"x\"", 6))),
            ("F", None),
            ("G", Some(("a#b", 8))),
            ("H", Some(("two\nlines", 9))),
            ("I", Some(("9", 11))),
            ("BARE", None),
            ("J", None),
            ("exported", Some(("k", 15))),
            ("L", Some(("a=b", 16))),
        ] {
            assert_eq!(read.get(name), value, "{name}");
        }
        assert_eq!(read.warnings, []);
    }

    #[test]
    fn lines_that_cannot_be_read_are_named_and_the_rest_is_used() {
        let read = DotEnv::parse("DATABASE_PATH /app\n=x\nA=\"1\" 2\nB=\"open\nC=3\n");
        let lines: Vec<usize> = read.warnings.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 2, 3, 4]);
        assert_eq!(read.get("C"), Some(("3", 5)));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "[\\PC\n\"'\\\\=# ]{0,80}") {
            DotEnv::parse(&text);
        }
    }
}
