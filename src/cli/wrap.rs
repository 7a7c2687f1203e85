//! Wraps prose at words. Wrapped commands can still be pasted: their lines end in a
//! backslash.

use textwrap::core::display_width;

/// Returns the text with no line wider than `width` if its words allow it. Further lines are indented as the first one,
/// by `hang` more.
pub(super) fn wrap(text: &str, width: usize, hang: usize) -> String {
    text.lines().map(|line| wrap_line(line, width, hang)).collect::<Vec<_>>().join("\n")
}

fn wrap_line(line: &str, width: usize, hang: usize) -> String {
    if display_width(line) <= width {
        return line.to_owned();
    }
    let indent = line.len() - line.trim_start_matches(' ').len();
    let further = " ".repeat(indent + hang);
    let mut wrapped = line[..indent].to_owned();
    let mut column = indent;
    let mut command = Command::default();
    let words: Vec<&str> = line[indent..].split(' ').collect();
    for (index, word) in words.iter().enumerate() {
        let inside = command.next(word);
        // A line of a command that goes on needs room for its backslash.
        let room = if command.is_open() { width.saturating_sub(2) } else { width };
        if index > 0 {
            if !command.is_in_quotes() && column + 1 + display_width(word) > room {
                wrapped.push_str(if inside { " \\\n" } else { "\n" });
                // A word that is as long as the line, such as a path, starts at the edge.
                let fits = further.len() + display_width(word) <= room;
                column = if fits { further.len() } else { 0 };
                wrapped.push_str(&further[..column]);
            } else {
                wrapped.push(' ');
                column += 1;
            }
        }
        wrapped.push_str(word);
        column += display_width(word);
    }
    wrapped
}

/// Whether the words so far are inside a command: in backquotes, or behind a colon and starting with `heirloom`.
#[derive(Default)]
struct Command {
    quoted: bool,
    bare: bool,
    colon: bool,
    /// Whether the previous word ended inside single quotes, where a backslash is literal.
    glued: bool,
    in_quotes: bool,
}

impl Command {
    fn is_open(&self) -> bool {
        self.quoted || self.bare
    }

    /// Returns whether the blank in front of the word belongs to an argument in single quotes.
    fn is_in_quotes(&self) -> bool {
        self.glued
    }

    /// Takes the next word; returns whether a command goes on from the word before to this one.
    fn next(&mut self, word: &str) -> bool {
        let inside = self.is_open();
        if word.matches('`').count() % 2 == 1 {
            self.quoted = !self.quoted;
        } else if self.colon && word == "heirloom" {
            self.bare = true;
        } else if self.bare && word.ends_with(';') {
            self.bare = false;
        }
        self.colon = word.ends_with(':');
        self.glued = inside && self.in_quotes;
        if self.is_open() && word.matches('\'').count() % 2 == 1 {
            self.in_quotes = !self.in_quotes;
        }
        inside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HINT: &str = "hint: if this is expected, run `heirloom accept shop_20261126T020459Z.tar.gz --config \
    heirloom.toml`; until then all earlier archives are kept";

    #[test]
    fn prose_is_wrapped_at_words() {
        let text = "  one two three four five";
        assert_eq!(wrap(text, 80, 2), text);
        assert_eq!(wrap(text, 12, 2), "  one two\n    three\n    four\n    five");
        assert_eq!(wrap("  one a/path/of/21/columns", 21, 2), "  one\na/path/of/21/columns");
        assert_eq!(
            wrap("a /very/long/path/that/cannot/be/wrapped b", 10, 0),
            "a\n/very/long/path/that/cannot/be/wrapped\nb"
        );
    }

    #[test]
    fn a_command_that_is_wrapped_can_still_be_pasted() {
        for width in 30..120 {
            let wrapped = wrap(HINT, width, 6);
            let pasted =
                wrapped.split('`').nth(1).unwrap().replace("\\\n", "").split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(pasted, "heirloom accept shop_20261126T020459Z.tar.gz --config heirloom.toml", "{wrapped}");
            let within = |line: &str| display_width(line) <= width || line.trim_start().split(' ').count() <= 2;
            assert!(wrapped.lines().all(within), "{width}\n{wrapped}");
            assert!(!wrapped.replace("\\\n", "").split('`').next().unwrap().contains('\\'), "{wrapped}");
        }
        let bare = wrap("restore it with: heirloom restore app.db --only app --to /srv/app.db", 40, 0);
        assert_eq!(bare, "restore it with: heirloom restore \\\napp.db --only app --to /srv/app.db");
        assert_eq!(
            wrap("run: heirloom list --dir '/a b/c d/e f'", 20, 0),
            "run: heirloom list \\\n--dir '/a b/c d/e f'"
        );
    }
}
