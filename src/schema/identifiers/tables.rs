//! Lists of codes that are kept as CSV below `schemas/`: comment lines that say where the list comes from, a header, one code a row.
//!
//! A list has a date, because codes change and an identifier keeps the one of the day on which it was given.

use std::{collections::HashMap, path::Path};

/// What the comment lines of a list must say.
const STATED: [&str; 4] = ["list", "valid_from", "source", "licence"];

/// One list.
#[derive(Debug)]
pub(super) struct Table {
    /// Name and date, for answers.
    pub(super) title: String,
    /// Code and second column.
    rows: HashMap<String, String>,
}

impl Table {
    /// Reads a list; `lengths` says that its second column is a number.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn load(file: &Path, lengths: bool) -> Result<Self, String> {
        let text = std::fs::read_to_string(file).map_err(|fault| format!("{}: {fault}", file.display()))?;
        Self::read(&text, lengths).map_err(|fault| format!("{}: {fault}", file.display()))
    }

    fn read(text: &str, lengths: bool) -> Result<Self, String> {
        let (comments, rows): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with('#'));
        let stated = |name: &str| {
            let lines = comments.iter().map(|line| line.trim_start_matches(['#', ' ']));
            lines.filter_map(|line| line.split_once(": ")).find_map(|(key, value)| (key == name).then(|| value.trim()))
        };
        if let Some(lack) = STATED.iter().find(|name| stated(name).is_none()) {
            return Err(format!("no comment line says `{lack}:`"));
        }
        let (name, date) = (stated("list").unwrap_or_default(), stated("valid_from").unwrap_or_default());
        time::Date::parse(date, time::macros::format_description!("[year]-[month]-[day]"))
            .map_err(|_| "valid_from is no date".to_owned())?;
        let Some((header, rows)) = rows.split_first().filter(|(header, _)| header.split(',').next() == Some("code"))
        else {
            return Err("the first column is not `code`".to_owned());
        };
        let mut table = Self { title: format!("{name}, {date}"), rows: HashMap::with_capacity(rows.len()) };
        for row in rows {
            let (code, second) = row.split_once(',').unwrap_or((row, ""));
            if code.is_empty() || row.split(',').count() != header.split(',').count() {
                return Err(format!("a row is not like the header: {row}"));
            }
            if lengths && second.parse::<usize>().is_err() {
                return Err(format!("{code}: the second column is no length"));
            }
            if table.rows.insert(code.to_owned(), second.to_owned()).is_some() {
                return Err(format!("{code} stands twice"));
            }
        }
        Ok(table)
    }

    /// Whether the code is listed.
    pub(super) fn has(&self, code: &str) -> bool {
        self.rows.contains_key(code)
    }

    /// The length that the second column gives for a code.
    pub(super) fn length(&self, code: &str) -> Option<usize> {
        self.rows.get(code)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "# list: L\n# valid_from: 2025-04-25\n# source: s\n# licence: l\n";

    #[test]
    fn a_list_says_where_it_comes_from_and_since_when_it_holds() {
        let table = Table::read(&format!("{HEAD}code,length\nAB,12\n"), true).unwrap();
        assert_eq!((table.title.as_str(), table.has("AB"), table.length("AB")), ("L, 2025-04-25", true, Some(12)));
        assert!(!table.has("CD") && table.length("CD").is_none());
        for (bad, why) in [
            ("code\nAB\n".to_owned(), "says `list:`"),
            (format!("{}code\nAB\n", HEAD.replace("2025-04-25", "spring")), "no date"),
            (format!("{HEAD}AB,12\n"), "not `code`"),
            (format!("{HEAD}code,length\nAB\n"), "not like the header"),
            (format!("{HEAD}code,length\nAB,x\n"), "no length"),
            (format!("{HEAD}code,length\nAB,1\nAB,2\n"), "twice"),
        ] {
            let fault = Table::read(&bad, true).unwrap_err();
            assert!(fault.contains(why), "{fault} is not about {why}");
        }
    }
}
