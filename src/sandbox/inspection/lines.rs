//! Where things stand in a text, so that a fault names its line: members of a JSON text, faults of a TOML text one after another.
//!
//! Neither is a reader of its own: what a text means is decided by the crates that read it.

/// The line (from 1) of the member or item at `pointer` (RFC 6901, no escapes) of a JSON text; of its nearest parent that is there.
pub(super) fn line_of(text: &str, pointer: &str) -> usize {
    let mut scan = Scan {
        bytes: text.as_bytes(),
        at: 0,
        line: 1,
        wanted: pointer.split('/').skip(1).map(str::to_owned).collect(),
        best: (0, 1),
    };
    scan.value(&mut Vec::new(), true);
    scan.best.1
}

struct Scan<'t> {
    bytes: &'t [u8],
    at: usize,
    line: usize,
    wanted: Vec<String>,
    /// How many steps of the pointer were found, and the line of the last.
    best: (usize, usize),
}

impl Scan<'_> {
    fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.bytes.get(self.at).copied() {
            match byte {
                b'\n' => self.line += 1,
                b' ' | b'\t' | b'\r' | b',' | b':' => {}
                other => return Some(other),
            }
            self.at += 1;
        }
        None
    }

    fn string(&mut self) -> String {
        let start = self.at + 1;
        self.at = start;
        while let Some(byte) = self.bytes.get(self.at).copied() {
            match byte {
                b'"' => break,
                b'\\' => self.at += 1,
                b'\n' => self.line += 1,
                _ => {}
            }
            self.at += 1;
        }
        let end = self.at.min(self.bytes.len());
        self.at += 1;
        String::from_utf8_lossy(self.bytes.get(start..end).unwrap_or_default()).into_owned()
    }

    /// Goes over one value; `on` while every step to it is one of the pointer's.
    fn value(&mut self, path: &mut Vec<String>, on: bool) {
        match self.peek() {
            Some(b'"') => drop(self.string()),
            Some(open @ (b'{' | b'[')) => {
                self.at += 1;
                let mut item = 0usize;
                while let Some(byte) = self.peek() {
                    if byte == b'}' || byte == b']' {
                        self.at += 1;
                        return;
                    }
                    let line = self.line;
                    let name = if open == b'{' && byte == b'"' { self.string() } else { item.to_string() };
                    item += 1;
                    path.push(name);
                    let inner = on && self.wanted.get(path.len() - 1) == path.last();
                    if inner && path.len() > self.best.0 {
                        self.best = (path.len(), line);
                    }
                    self.value(path, inner);
                    path.pop();
                }
            }
            Some(_) => {
                let plain = |byte: &u8| !matches!(byte, b',' | b'}' | b']' | b'\n' | b' ');
                self.at += self.bytes.get(self.at..).unwrap_or_default().iter().take_while(|byte| plain(byte)).count();
            }
            None => {}
        }
    }
}

/// A fault of a text: its line, if it has one, and a sentence.
pub(super) type LineFault = (Option<usize>, String);

/// Every fault of a TOML text: what `read` refuses is noted, blanked, and the rest read again. The value lacks what was blanked.
pub(super) fn toml_faults<T>(text: &str, read: impl Fn(&str) -> Result<T, String>) -> (Option<T>, Vec<LineFault>) {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut faults: Vec<LineFault> = Vec::new();
    // Each round blanks at least one line that was not blank, so that this ends.
    loop {
        let message = match read(&(lines.join("\n") + "\n")) {
            Ok(value) => return (Some(value), faults),
            Err(message) => message,
        };
        let (line, sentence) = place(&message);
        faults.push((line, sentence.clone()));
        if !line.is_some_and(|line| blank(&mut lines, line - 1, &sentence)) {
            return (None, faults);
        }
    }
}

/// The line that a message of the TOML reader or of a mapping names, and its sentence.
pub(super) fn place(message: &str) -> LineFault {
    let number = message.split_once("line ").and_then(|(_, rest)| {
        rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok().filter(|line| *line > 0)
    });
    let sentence = message.lines().rfind(|line| !line.trim().is_empty()).unwrap_or(message).trim();
    let sentence = match sentence.strip_prefix("line ").and_then(|rest| rest.split_once(": ")) {
        Some((_, rest)) => rest,
        None => sentence,
    };
    (number, sentence.to_owned())
}

/// Blanks an unknown key's line, or the table of a list around a fault; `false` where nothing can be left out.
fn blank(lines: &mut [String], line: usize, sentence: &str) -> bool {
    let header = |text: &str| text.trim_start().starts_with('[');
    let Some(text) = lines.get(line).filter(|text| !text.trim().is_empty()) else { return false };
    let key = sentence.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`')).map(|(key, _)| key);
    if key.is_some_and(|key| text.trim_start().starts_with(key)) {
        lines[line].clear();
        return true;
    }
    let Some(start) = lines[..=line].iter().rposition(|text| header(text)) else { return false };
    if !lines[start].trim_start().starts_with("[[") {
        return false;
    }
    let end = lines[start + 1..].iter().position(|text| header(text)).map_or(lines.len(), |n| start + 1 + n);
    lines[start..end].iter_mut().for_each(String::clear);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_leads_to_the_line_of_its_member() {
        let text = "{\n  \"a\": {\"x\": \"{\\\"b\\\"\"},\n  \"b\": [\n    1,\n    {\n      \"c\": -1.5e3,\n      \"d\": null\n    }\n  ]\n}\n";
        for (pointer, line) in
            [("", 1), ("/a/x", 2), ("/b", 3), ("/b/0", 4), ("/b/1/c", 6), ("/b/1/d", 7), ("/b/1/e", 5)]
        {
            assert_eq!(line_of(text, pointer), line, "{pointer}");
        }
    }

    #[test]
    fn a_text_that_is_no_json_ends() {
        for text in ["", "{", "[}", "{\"a", "{\"a\": \\", "nonsense here", "{{{{", "[ , , ]"] {
            line_of(text, "/a/b");
        }
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(default)]
        row: Vec<Row>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Row {
        #[expect(dead_code, reason = "only whether it can be read matters")]
        name: String,
    }

    #[test]
    fn all_faults_of_a_toml_text_come_at_once() {
        let text = "colour = 1\n\n[[row]]\nname = \"a\"\nshape = 2\n\n[[row]]\n\n[[row]]\nname = \"b\"\n";
        let (file, faults) = toml_faults(text, |text| toml::from_str::<File>(text).map_err(|fault| fault.to_string()));
        assert_eq!(file.unwrap().row.len(), 2);
        assert_eq!(faults.iter().map(|fault| fault.0.unwrap()).collect::<Vec<_>>(), [1, 5, 7], "{faults:?}");
        assert!(faults[0].1.starts_with("unknown field `colour`") && faults[2].1.contains("name"), "{faults:?}");
        let (file, faults) = toml_faults("a = [\n", |text| toml::from_str::<File>(text).map_err(|f| f.to_string()));
        assert!(file.is_none() && faults.len() == 1);
    }
}
