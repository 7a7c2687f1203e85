//! Tables that fit the terminal: less important columns drop out, long names are shortened in the middle, no word is
//! split.
//!
//! Without a terminal nothing is left out: scripts get complete output.

use textwrap::core::display_width;

/// Blanks between two columns.
pub(super) const GAP: &str = "  ";
/// A shortened name is at least this wide before more columns drop out.
const COMFORTABLE: usize = 32;
/// A shortened name is never narrower than this.
const NARROWEST: usize = 12;

/// What happens to a column if there is no room for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// It stays as it is.
    Keep,
    /// It drops out, lower numbers first. Numbers up to [`Column::EASILY`] drop out before names are shortened.
    Drop(u8),
    /// Its cells are shortened in the middle.
    Shorten,
    /// Its cells are wrapped at words.
    Wrap,
}

/// A column of a [`Table`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    title: &'static str,
    fit: Fit,
    right: bool,
}

impl Column {
    /// Columns up to this [`drop`](Self::drop) number drop out before names are shortened.
    pub(super) const EASILY: u8 = 5;

    /// Makes a column that is always shown in full.
    pub(super) const fn new(title: &'static str) -> Self {
        Self { title, fit: Fit::Keep, right: false }
    }

    /// Aligns it right, for numbers.
    pub(super) const fn right(self) -> Self {
        Self { right: true, ..self }
    }

    /// Lets it drop out if there is no room, the column with the lowest number first.
    pub(super) const fn drop(self, priority: u8) -> Self {
        Self { fit: Fit::Drop(priority), ..self }
    }

    /// Shortens its cells in the middle if there is no room.
    pub(super) const fn shorten(self) -> Self {
        Self { fit: Fit::Shorten, ..self }
    }

    /// Wraps its cells at words if there is no room.
    pub(super) const fn wrap(self) -> Self {
        Self { fit: Fit::Wrap, ..self }
    }
}

/// Rows of cells under titles. Cells may be coloured.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row with one cell for each column.
    pub(super) fn row(&mut self, cells: impl Into<Vec<String>>) {
        self.rows.push(cells.into());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the lines of the table, at most `width` columns wide if the words allow it. `title` colours the titles.
    pub(super) fn lines(&self, width: Option<usize>, title: impl Fn(&str) -> String) -> Vec<String> {
        let widths = self.widths(width);
        let titles: Vec<String> = self.columns.iter().map(|column| title(column.title)).collect();
        let head = self.columns.iter().any(|column| !column.title.is_empty()).then_some(&titles);
        head.into_iter().chain(&self.rows).flat_map(|cells| self.row_lines(cells, &widths)).collect()
    }

    /// Returns the width of each column; `None` for one that drops out.
    fn widths(&self, width: Option<usize>) -> Vec<Option<usize>> {
        let natural = |(index, column): (usize, &Column)| {
            let cells = self.rows.iter().filter_map(|row| row.get(index)).map(|cell| display_width(cell));
            Some(cells.chain([display_width(column.title)]).max().unwrap_or_default())
        };
        let mut widths: Vec<Option<usize>> = self.columns.iter().enumerate().map(natural).collect();
        let Some(width) = width else { return widths };
        self.drop_columns(&mut widths, width, Column::EASILY);
        self.narrow(&mut widths, width, Fit::Shorten, COMFORTABLE);
        self.narrow(&mut widths, width, Fit::Wrap, COMFORTABLE);
        self.drop_columns(&mut widths, width, u8::MAX);
        self.narrow(&mut widths, width, Fit::Shorten, NARROWEST);
        self.narrow(&mut widths, width, Fit::Wrap, NARROWEST);
        widths
    }

    fn drop_columns(&self, widths: &mut [Option<usize>], width: usize, most: u8) {
        while excess(widths, width) > 0 {
            let droppable = self.columns.iter().enumerate().filter_map(|(index, column)| match column.fit {
                Fit::Drop(priority) if priority <= most && widths[index].is_some() => Some((priority, index)),
                _ => None,
            });
            let Some((_, index)) = droppable.min() else { return };
            widths[index] = None;
        }
    }

    fn narrow(&self, widths: &mut [Option<usize>], width: usize, fit: Fit, least: usize) {
        for index in (0..self.columns.len()).filter(|index| self.columns[*index].fit == fit) {
            let excess = excess(widths, width);
            if let Some(own) = widths[index].as_mut().filter(|own| **own > least) {
                *own = own.saturating_sub(excess).max(least);
            }
        }
    }

    fn row_lines(&self, cells: &[String], widths: &[Option<usize>]) -> Vec<String> {
        let shown: Vec<(&Column, usize, Vec<String>)> = self
            .columns
            .iter()
            .zip(widths)
            .zip(cells)
            .filter_map(|((column, width), cell)| {
                let width = (*width)?;
                let lines = match column.fit {
                    Fit::Shorten => vec![shortened(cell, width)],
                    Fit::Wrap => wrapped(cell, width),
                    Fit::Keep | Fit::Drop(_) => vec![cell.clone()],
                };
                Some((column, width, lines))
            })
            .collect();
        let height = shown.iter().map(|(_, _, lines)| lines.len()).max().unwrap_or_default();
        let line = |number: usize| {
            let cell = |(column, width, lines): &(&Column, usize, Vec<String>)| {
                let text = lines.get(number).map_or("", String::as_str);
                let blanks = " ".repeat(width.saturating_sub(display_width(text)));
                if column.right { format!("{blanks}{text}") } else { format!("{text}{blanks}") }
            };
            shown.iter().map(cell).collect::<Vec<_>>().join(GAP).trim_end().to_owned()
        };
        (0..height).map(line).collect()
    }
}

/// Returns by how much a table is too wide.
fn excess(widths: &[Option<usize>], width: usize) -> usize {
    let shown = widths.iter().flatten().count();
    let total = widths.iter().flatten().sum::<usize>() + shown.saturating_sub(1) * GAP.len();
    total.saturating_sub(width)
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let options = textwrap::Options::new(width).break_words(false).word_splitter(textwrap::WordSplitter::NoHyphenation);
    // A line that is still too wide is one word.
    textwrap::wrap(text, options).into_iter().map(|line| shortened(&line, width)).collect()
}

/// Returns a name that fits, with its beginning and its end: `before-the-big…2026.tar.gz`.
pub(super) fn shortened(text: &str, width: usize) -> String {
    if display_width(text) <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(1);
    let end = room / 2;
    let take = |chars: &mut dyn Iterator<Item = char>, room: usize| {
        let mut used = 0;
        let fits = |char: &char| {
            used += display_width(char.encode_utf8(&mut [0; 4]));
            used <= room
        };
        chars.take_while(fits).collect::<Vec<char>>()
    };
    let head: String = take(&mut text.chars(), room - end).into_iter().collect();
    let tail: String = take(&mut text.chars().rev(), end).into_iter().rev().collect();
    format!("{head}…{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let columns = [
            Column::new("ARCHIVE").shorten(),
            Column::new("AGE").right(),
            Column::new("MADE").drop(6),
            Column::new("SAVED").right().drop(1),
            Column::new("WHY").wrap(),
        ];
        let mut table = Table::new(&columns);
        let made = "2026-03-01 03:00".to_owned();
        let name = "before-the-big-migration-of-the-orders-table-2026.tar.gz".to_owned();
        table.row([name, "3h".into(), made.clone(), "62%".into(), "daily 1 of 7, newest good".into()]);
        let long = "not-confirmed-by-anybody-who-could-have-read-it";
        table.row(["app.tar.gz".into(), "1d".into(), made.clone(), "9%".into(), long.into()]);
        table.row(["日本-cf2abf_20260301T030000Z.tar.gz".into(), "12d".into(), made, "9%".into(), "pinned".into()]);
        table
    }

    #[test]
    fn every_line_fits_and_no_word_is_split() {
        for width in 40..150 {
            let lines = table().lines(Some(width), str::to_owned);
            assert!(lines.iter().all(|line| display_width(line) <= width), "{width}: {lines:#?}");
            assert!(lines.iter().any(|line| line.contains("newest")), "{width}");
        }
    }

    #[test]
    fn columns_drop_out_in_their_order_and_a_script_gets_all() {
        let titles = |width| table().lines(width, str::to_owned)[0].split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(titles(None), "ARCHIVE AGE MADE SAVED WHY");
        assert_eq!(titles(Some(110)), "ARCHIVE AGE MADE WHY");
        assert_eq!(titles(Some(90)), "ARCHIVE AGE MADE WHY");
        assert_eq!(titles(Some(80)), "ARCHIVE AGE WHY");
        assert_eq!(titles(Some(60)), "ARCHIVE AGE WHY");
        assert!(
            table().lines(None, str::to_owned)[1].contains("before-the-big-migration-of-the-orders-table-2026.tar.gz")
        );
    }

    #[test]
    fn a_long_name_keeps_both_its_ends() {
        assert_eq!(shortened("app_20260301T030000Z.tar.gz", 40), "app_20260301T030000Z.tar.gz");
        assert_eq!(shortened("app_20260301T030000Z.tar.gz", 16), "app_2026….tar.gz");
        assert_eq!(display_width(&shortened("日本日本日本日本日本日本", 12)), 11);
    }
}
