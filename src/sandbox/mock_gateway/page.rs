//! The page that lists what arrived and why it failed. Every text goes through [`Html::text`], which escapes it; markup is written
//! here only, as constants.

use super::book::Arrival;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem;max-width:75rem}table{border-collapse:collapse;width:100%}\
                     th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid #ccc}.bad{color:#a00000}\
                     code{font-size:.9em}ul{margin:0;padding-left:1.1rem}";

struct Html(String);

impl Html {
    fn markup(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                other => self.0.push(other),
            }
        }
        self
    }
}

/// The whole page.
pub(super) fn arrivals(name: &str, arrivals: &[Arrival]) -> String {
    let mut html = Html(String::new());
    html.markup("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Mock gateway</title><style>");
    html.markup(STYLE).markup("</style></head><body><h1>Mock gateway</h1><p>Channel port: <code>").text(name);
    html.markup(
        "</code>. The newest first; reload to see more. No value that was sent is kept or shown.</p><table><thead><tr>",
    );
    for head in ["at", "client", "what", "status", "outcome", "why"] {
        html.markup("<th scope=\"col\">").text(head).markup("</th>");
    }
    html.markup("</tr></thead><tbody>");
    if arrivals.is_empty() {
        html.markup("<tr><td colspan=\"6\">Nothing has arrived yet.</td></tr>");
    }
    for one in arrivals {
        let is_bad = one.status == 0 || one.status >= 400;
        html.markup(if is_bad { "<tr class=\"bad\"><td>" } else { "<tr><td>" }).text(&one.at);
        html.markup("</td><td>").text(one.client.as_deref().unwrap_or("unknown"));
        html.markup("</td><td>").text(&one.what).markup("</td><td>");
        html.text(&if one.status == 0 { "no connection".to_owned() } else { one.status.to_string() });
        html.markup("</td><td>").text(one.outcome.as_deref().unwrap_or_default());
        html.markup("</td><td>").text(one.reason.as_deref().unwrap_or_default());
        if !one.violations.is_empty() {
            html.markup("<ul>");
            for (pointer, rule, sentence) in &one.violations {
                html.markup("<li><code>").text(if pointer.is_empty() { "(the whole)" } else { pointer });
                html.markup("</code> ").text(rule).markup(": ").text(sentence).markup("</li>");
            }
            html.markup("</ul>");
        }
        html.markup("</td></tr>");
    }
    html.markup("</tbody></table></body></html>");
    html.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sender_named_cannot_become_markup() {
        let violation = ("/data/<script>".to_owned(), "unknown-field".to_owned(), "\"'&".to_owned());
        let page = arrivals("https://x", &[Arrival::of("POST", Some("<b>"), 422, None, None, vec![violation])]);
        assert!(
            page.contains("/data/&lt;script&gt;") && page.contains("&quot;&#39;&amp;") && page.contains("&lt;b&gt;")
        );
        assert!(!page.contains("<script"));
    }
}
