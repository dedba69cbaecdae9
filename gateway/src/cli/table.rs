//! How does a person read it? Lists as tables: a head for each column, two spaces between them, and columns as wide as
//! their widest cell on a terminal, where a Chinese character takes two places.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use unicode_width::UnicodeWidthStr;

/// What stands for nothing.
const NOTHING: &str = "-";
/// Says of which kind an object is, for programs.
const KIND: &str = "object";
/// Says where the next page of a list begins, if there is one.
const NEXT: &str = "next_cursor";

/// Which columns a list is shown with. A list of which nothing is said shows every member that has a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct List {
    /// Where the list stands. `data.items` are the items of every row of `data`, in a table of their own.
    pub(super) at: &'static str,
    /// The members of a row, by their paths: `resolution.by`. One through a list names the member of each of its rows.
    pub(super) columns: &'static [&'static str],
}

/// Everything of an object: first what is single, then what is a list.
pub(super) fn written(members: &Map<String, Value>, lists: &[List]) -> String {
    let (mut single, mut tables) = (Vec::new(), Vec::new());
    for (path, value) in leaves(members) {
        let list = lists.iter().find(|list| list.at == path);
        match value {
            Value::Array(rows) if list.is_some() || is_table(rows) => {
                let rows: Vec<&Value> = rows.iter().collect();
                tables.push((path.clone(), table(&rows, list.map(|list| list.columns))));
            }
            _ if path == KIND || (path == NEXT && value.is_null()) => {}
            value => single.push((path, text(value))),
        }
    }
    for List { at, columns } in lists {
        // What does not stand in one place is gathered from the rows of another list.
        if let Some((_, name)) = at.rsplit_once('.')
            && !tables.iter().any(|(path, _)| path == at)
        {
            let rows = rows_at(members, at);
            if !rows.is_empty() {
                tables.push((name.to_owned(), table(&rows, Some(columns))));
            }
        }
    }
    let width = single.iter().map(|(name, _)| name.width()).max().unwrap_or(0);
    let mut out = String::new();
    for (name, value) in &single {
        out.push_str(&format!("{name:width$}  {value}\n"));
    }
    // A single table needs no name.
    let named = tables.len() > 1 || !single.is_empty();
    for (name, lines) in tables {
        if named {
            let gap = if out.is_empty() { "" } else { "\n" };
            out.push_str(&format!("{gap}{name}:\n"));
        }
        let indent = if named { "  " } else { "" };
        for line in lines {
            out.push_str(&format!("{indent}{line}\n"));
        }
    }
    out
}

/// Members that are no objects, those of objects by their paths.
fn leaves(members: &Map<String, Value>) -> Vec<(String, &Value)> {
    let mut found = Vec::with_capacity(members.len());
    for (name, value) in members {
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                found
                    .extend(leaves(inner).into_iter().map(|(path, value)| (format!("{name}.{path}"), value)));
            }
            value => found.push((name.clone(), value)),
        }
    }
    found
}

fn is_table(rows: &[Value]) -> bool {
    !rows.is_empty() && rows.iter().all(Value::is_object)
}

/// The rows of a list that may stand in each row of another.
fn rows_at<'a>(members: &'a Map<String, Value>, path: &str) -> Vec<&'a Value> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let Some(value) = members.get(first) else { return Vec::new() };
    let steps: Vec<&Value> = match value {
        Value::Array(rows) => rows.iter().collect(),
        one => vec![one],
    };
    match rest {
        None => steps,
        Some(rest) => {
            steps.into_iter().filter_map(Value::as_object).flat_map(|row| rows_at(row, rest)).collect()
        }
    }
}

/// Head and rows, a line each.
fn table(rows: &[&Value], columns: Option<&[&'static str]>) -> Vec<String> {
    let columns = columns.map_or_else(
        || columns_of(rows),
        |columns| columns.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(),
    );
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| columns.iter().map(|path| cell(row, path)).collect()).collect();
    let shape: Vec<(usize, bool)> = columns
        .iter()
        .enumerate()
        .map(|(place, head)| {
            let column = || cells.iter().filter_map(|row| row.get(place));
            let width = column().map(|cell| cell.width()).max().unwrap_or(0).max(head.width());
            let mut said = column().filter(|cell| *cell != NOTHING).peekable();
            (width, said.peek().is_some() && said.all(|cell| is_number(cell)))
        })
        .collect();
    std::iter::once(&columns).chain(&cells).map(|cells| line(cells, &shape)).collect()
}

/// One line; numbers stand at the right of their columns.
fn line(cells: &[String], shape: &[(usize, bool)]) -> String {
    let mut line = String::new();
    for (cell, (width, right)) in cells.iter().zip(shape) {
        let fill = " ".repeat(width.saturating_sub(cell.width()));
        let (before, after) = if *right { (fill.as_str(), "") } else { ("", fill.as_str()) };
        line.push_str(&format!("{before}{cell}{after}  "));
    }
    line.truncate(line.trim_end().len());
    line
}

/// Every member that has a value in some row, what a row is called by first.
fn columns_of(rows: &[&Value]) -> Vec<String> {
    let objects = rows.iter().filter_map(|row| row.as_object());
    let said = objects.flat_map(leaves).filter(|(path, value)| path != KIND && text(value) != NOTHING);
    let all: BTreeSet<String> = said.map(|(path, _)| path).collect();
    let (mut first, rest): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|name| matches!(name.as_str(), "id" | "name"));
    first.extend(rest);
    first
}

/// What stands at a path of a row.
fn cell(row: &Value, path: &str) -> String {
    let Some(members) = row.as_object() else { return text(row) };
    if let Some(value) = members.get(path) {
        return text(value);
    }
    let found: Vec<String> =
        rows_at(members, path).into_iter().map(text).filter(|text| text != NOTHING).collect();
    if found.is_empty() { NOTHING.to_owned() } else { found.join(", ") }
}

/// A value in one line. Of a list of objects it is how many they are.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => NOTHING.to_owned(),
        Value::String(text) => plain(text),
        Value::Null => NOTHING.to_owned(),
        Value::Array(items) if is_table(items) => items.len().to_string(),
        Value::Array(items) => joined(items.iter().map(text)),
        Value::Object(members) => {
            joined(leaves(members).into_iter().map(|(path, value)| format!("{path}={}", text(value))))
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() { NOTHING.to_owned() } else { parts.join(", ") }
}

/// Other people's words: a line break would tear the table apart, and other controls would steer the terminal.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
        .collect()
}

fn is_number(cell: &str) -> bool {
    let digits = cell.strip_prefix('-').unwrap_or(cell);
    digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines(value: &Value, lists: &[List]) -> Vec<String> {
        let written = written(value.as_object().unwrap(), lists);
        written.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_list_has_heads_two_spaces_between_columns_and_numbers_at_the_right() {
        let list = json!({"object": "list", "next_cursor": null, "data": [
            {"object": "fruit", "id": "a", "yuan": "1.50", "why": null, "who": {"name": "张伟"}},
            {"object": "fruit", "id": "bcd", "yuan": "-10.00", "why": null, "who": {"name": "ann"}},
        ]});
        assert_eq!(
            lines(&list, &[]),
            ["id   who.name    yuan", "a    张伟        1.50", "bcd  ann       -10.00"],
            "a Chinese character takes two places; what is null in every row is no column"
        );
    }

    #[test]
    fn an_object_shows_what_is_single_first_and_its_lists_below() {
        let shown = json!({
            "object": "thing", "id": "x", "tags": ["a", "b"], "none": [], "deep": {"er": {"est": 1}},
            "items": [{"n": 1}, {"n": 22}],
        });
        assert_eq!(
            lines(&shown, &[]),
            [
                "deep.er.est  1",
                "id           x",
                "none         -",
                "tags         a, b",
                "",
                "items:",
                "   n",
                "   1",
                "  22"
            ]
        );
    }

    #[test]
    fn chosen_columns_stand_in_their_order_and_lists_inside_rows_are_counted_named_or_gathered() {
        let list = json!({"data": [
            {"id": 1, "items": [{"to": "b"}, {"to": "c"}], "by": {"x": 1, "y": 2}},
            {"id": 2, "items": []},
        ]});
        let lists = [
            List { at: "data", columns: &["items", "id", "items.to", "by", "nowhere"] },
            List { at: "data.items", columns: &["to"] },
        ];
        assert_eq!(
            lines(&list, &lists),
            [
                "data:",
                "  items  id  items.to  by        nowhere",
                "      2   1  b, c      x=1, y=2  -",
                "      -   2  -         -         -",
                "",
                "items:",
                "  to",
                "  b",
                "  c",
            ]
        );
        assert_eq!(lines(&json!({"data": []}), &lists), ["items  id  items.to  by  nowhere"]);
    }

    #[test]
    fn other_peoples_words_neither_break_a_line_nor_steer_the_terminal() {
        let list = json!({"data": [{"why": "a\nb\u{1b}[2Jc"}]});
        assert_eq!(lines(&list, &[]), ["why", r"a\nb\u{1b}[2Jc"]);
    }
}
