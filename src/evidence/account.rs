//! What a check has shown, as sentences in the reader's language: as text, and as one printable page.
//!
//! The page is one self-contained file of HTML without script. Values stand in it escaped and apart from the sentence's own
//! direction of writing; characters that could turn a line round or act on a terminal are shown as U+FFFD.

use crate::{
    vault::sha256,
    words::{self, Lang},
};
use std::fmt::Display;

/// A sentence of [`crate::words`] and what fills it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    key: String,
    params: Vec<(&'static str, String)>,
    next: Option<Box<Sentence>>,
}

impl Sentence {
    /// A sentence without parameters so far.
    pub fn of(key: impl Into<String>) -> Self {
        Self { key: key.into(), params: Vec::new(), next: None }
    }

    /// With a parameter.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Display) -> Self {
        self.params.push((name, value.to_string()));
        self
    }

    /// With another sentence after it.
    #[must_use]
    pub fn then(mut self, next: Self) -> Self {
        self.next = Some(Box::new(next));
        self
    }

    /// Its key in `words`.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// In one language; values of a sentence that is written from right to left are kept apart by isolates (Unicode UAX 9).
    pub fn text(&self, lang: Lang) -> String {
        let own = self.fill(lang, str::to_owned, |value| match lang {
            Lang::Ar => format!("\u{2068}{}\u{2069}", shown(value)),
            Lang::Id | Lang::En | Lang::Ms => shown(value),
        });
        self.next.iter().fold(own, |own, next| format!("{own} {}", next.text(lang)))
    }

    fn html(&self, lang: Lang) -> String {
        let own = self.fill(lang, escaped, |value| format!("<bdi>{}</bdi>", escaped(&shown(value))));
        self.next.iter().fold(own, |own, next| format!("{own} {}", next.html(lang)))
    }

    fn fill(&self, lang: Lang, own: impl Fn(&str) -> String, value: impl Fn(&str) -> String) -> String {
        // A key without a sentence is a fault of this program; its name still says more than nothing.
        let template = words::sentence(lang, &self.key, &[]).unwrap_or_else(|| self.key.clone());
        let filled = self.params.iter().map(|(name, text)| (format!("{{{name}}}"), value(text))).collect::<Vec<_>>();
        // Piece by piece, so that a value that looks like a parameter stays what it is.
        let (mut out, mut rest) = (String::new(), template.as_str());
        while let Some(at) = rest.find('{') {
            out.push_str(&own(&rest[..at]));
            rest = &rest[at..];
            match filled.iter().find(|(hole, _)| rest.starts_with(hole)) {
                Some((hole, text)) => {
                    out.push_str(text);
                    rest = &rest[hole.len()..];
                }
                None => {
                    out.push('{');
                    rest = &rest[1..];
                }
            }
        }
        out + &own(rest)
    }
}

/// What a check has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// What was checked.
    pub title: Sentence,
    /// Whether it holds.
    pub verdict: Sentence,
    /// What does not hold.
    pub faults: Vec<Sentence>,
    /// What follows from signatures and hashes.
    pub proven: Vec<Sentence>,
    /// What is only said.
    pub stated: Vec<Sentence>,
    /// What nothing here shows.
    pub not_proven: Vec<Sentence>,
    /// The lines of the keys that signed it.
    pub keys: Vec<String>,
    /// How a person checks it again.
    pub by_hand: Vec<Sentence>,
    /// What was checked, word for word: a name and the text.
    pub appendix: Vec<(String, String)>,
}

impl Account {
    /// Whether something of what it is about is proven and nothing is wrong.
    pub fn holds(&self) -> bool {
        self.faults.is_empty()
            && ["evidence.holds", "evidence.holds-unlisted", "receipt.holds"].contains(&self.verdict.key())
    }

    fn sections(&self) -> [(&'static str, &[Sentence]); 4] {
        [
            ("account.faults", &self.faults),
            ("account.proven", &self.proven),
            ("account.stated", &self.stated),
            ("account.not-proven", &self.not_proven),
        ]
    }

    /// For a terminal: without the text that was checked, which the reader has.
    pub fn text(&self, lang: Lang) -> String {
        let mut out = format!("{}\n{}\n", self.title.text(lang), self.verdict.text(lang));
        let heading = |key: &str| format!("\n{}\n", Sentence::of(key).text(lang));
        for (key, sentences) in self.sections().into_iter().filter(|(_, sentences)| !sentences.is_empty()) {
            out.push_str(&heading(key));
            sentences.iter().for_each(|one| out.push_str(&format!("  - {}\n", one.text(lang))));
        }
        if !self.keys.is_empty() {
            out.push_str(&heading("account.keys"));
            for key in &self.keys {
                out.push_str(&format!("  {}\n  {}\n", shown(key), fingerprint(key).text(lang)));
            }
        }
        if !self.by_hand.is_empty() {
            out.push_str(&heading("account.by-hand"));
            for (n, step) in self.by_hand.iter().enumerate() {
                out.push_str(&format!("  {}. {}\n", n + 1, step.text(lang)));
            }
        }
        out
    }

    /// One page for a case file.
    pub fn html(&self, lang: Lang) -> String {
        let direction = if lang == Lang::Ar { "rtl" } else { "ltr" };
        let (title, verdict) = (self.title.html(lang), self.verdict.html(lang));
        let plain_title = escaped(&self.title.text(lang));
        let heading = |key: &str| format!("<h2>{}</h2>\n", Sentence::of(key).html(lang));
        let list = |name: &str, sentences: &[Sentence]| {
            let items: String = sentences.iter().map(|one| format!("<li>{}</li>\n", one.html(lang))).collect();
            format!("<{name}>\n{items}</{name}>\n")
        };
        let mut body = format!("<h1>{title}</h1>\n<p class=\"verdict\">{verdict}</p>\n");
        for (key, sentences) in self.sections().into_iter().filter(|(_, sentences)| !sentences.is_empty()) {
            body.push_str(&heading(key));
            body.push_str(&list("ul", sentences));
        }
        if !self.keys.is_empty() {
            body.push_str(&heading("account.keys"));
            for key in &self.keys {
                body.push_str(&pre(key));
                body.push_str(&format!("<p>{}</p>\n", fingerprint(key).html(lang)));
            }
        }
        if !self.by_hand.is_empty() {
            body.push_str(&heading("account.by-hand"));
            body.push_str(&list("ol", &self.by_hand));
        }
        if !self.appendix.is_empty() {
            body.push_str(&heading("account.appendix"));
            for (name, text) in &self.appendix {
                body.push_str(&format!("<h3 dir=\"ltr\">{}</h3>\n{}", escaped(&shown(name)), pre(text)));
            }
        }
        format!(
            "<!doctype html>\n<html lang=\"{}\" dir=\"{direction}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <title>{plain_title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n",
            lang.code()
        )
    }
}

const STYLE: &str = "@page { size: A4; margin: 2cm }
body { font: 11pt/1.5 serif; max-width: 46em; margin: 2em auto; padding: 0 1em; color: #000; background: #fff }
h1 { font-size: 1.4em } h2 { font-size: 1.1em; break-after: avoid } h3 { font-size: 1em; font-family: monospace }
.verdict { font-weight: bold; border: 1pt solid; padding: .5em }
li, pre { break-inside: avoid-page; overflow-wrap: anywhere }
pre { font: 8.5pt/1.35 monospace; white-space: pre-wrap; border: .5pt solid; padding: .5em; text-align: left }
@media print { body { margin: 0; padding: 0; max-width: none } }
";

fn fingerprint(key: &str) -> Sentence {
    Sentence::of("account.fingerprint").with("fingerprint", hex::encode(sha256(key.as_bytes())))
}

fn pre(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(shown).collect();
    format!("<pre dir=\"ltr\">{}</pre>\n", escaped(&lines.join("\n")))
}

/// A value as it may stand before a reader.
fn shown(value: &str) -> String {
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    value.chars().map(|c| if c.is_control() || turns(c) { '\u{fffd}' } else { c }).collect()
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_never_markup_never_a_parameter_and_never_turns_a_line_round() {
        let hostile = "<script>alert(1)</script>{index}\u{202e}\u{1b}[2J'\"&";
        let sentence = Sentence::of("receipt.applied").with("log", hostile).with("index", 7);
        let html = sentence.html(Lang::En);
        assert!(
            html.contains("<bdi>&lt;script&gt;alert(1)&lt;/script&gt;{index}\u{fffd}\u{fffd}[2J&#39;&quot;&amp;</bdi>")
        );
        assert!(!html.contains("<script") && html.contains("Entry <bdi>7</bdi> of"));
        let text = sentence.text(Lang::Ar);
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}') && text.contains("\u{2068}7\u{2069}"));
    }

    #[test]
    fn a_page_is_one_file_in_its_reader_s_direction() {
        let account = Account {
            title: Sentence::of("receipt.title").with("message", "m"),
            verdict: Sentence::of("receipt.holds"),
            faults: vec![],
            proven: vec![Sentence::of("receipt.match")],
            stated: vec![],
            not_proven: vec![Sentence::of("receipt.truth")],
            keys: vec!["log+1+k".into()],
            by_hand: vec![Sentence::of("receipt.hand-note")],
            appendix: vec![("entry".into(), "a\u{7}\n<b>".into())],
        };
        for lang in Lang::ALL {
            let page = account.html(lang);
            let opening =
                format!("<html lang=\"{}\" dir=\"{}\">", lang.code(), if lang == Lang::Ar { "rtl" } else { "ltr" });
            assert!(page.contains(&opening), "{page}");
            assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("href="), "{page}");
            assert!(page.contains("<pre dir=\"ltr\">a\u{fffd}\n&lt;b&gt;</pre>"), "{page}");
            assert!(page.contains(&hex::encode(sha256(b"log+1+k"))), "{page}");
            assert!(account.text(lang).contains(&words::sentence(lang, "receipt.truth", &[]).unwrap()));
        }
    }
}
