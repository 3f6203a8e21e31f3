//! One page with all pictures in it, which needs no network.

use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use image::RgbImage;

use crate::failure::Failure;
use crate::pictures;

const HEAD: &str = r#"<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
  :root { color-scheme: light dark; }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
  h1 { font-size: 1.5rem; margin-bottom: 0; }
  h2 { font-size: 1.15rem; margin: 2.5rem 0 .3rem; border-top: 1px solid #8884; padding-top: 1rem; }
  p { margin: .2rem 0 .8rem; }
  .note { opacity: .75; }
  img { max-width: 100%; height: auto; border-radius: 4px; }
  .pixels { image-rendering: pixelated; }
  table { border-collapse: collapse; }
  td { padding: .1rem 1rem .1rem 0; }
  td:last-child { text-align: right; font-variant-numeric: tabular-nums; padding: 0; }
  meter { width: 14rem; }
</style>
"#;

/// A page that grows from its top to its bottom.
pub struct Page(String);

impl Page {
    /// A page with its title, and a line below it.
    pub fn new(title: &str, line: &str) -> Self {
        let (title, line) = (escaped(title), escaped(line));
        Self(format!("<!doctype html>\n<html lang=\"en\">\n{HEAD}<title>{title}</title>\n<h1>{title}</h1>\n<p class=\"note\">{line}</p>\n"))
    }

    /// Starts a part of the page.
    pub fn section(&mut self, title: &str, text: &str) {
        self.0 += &format!("<h2>{}</h2>\n", escaped(title));
        self.note(text);
    }

    /// A line of small print.
    pub fn note(&mut self, text: &str) {
        self.0 += &format!("<p class=\"note\">{}</p>\n", escaped(text));
    }

    /// A picture, as part of the page; `pixels`: one whose pixels are to be seen.
    pub fn picture(&mut self, picture: &RgbImage, what: &str, pixels: bool) -> Result<(), Failure> {
        let data = BASE64_STANDARD.encode(pictures::png(picture)?);
        let class = if pixels { " class=\"pixels\"" } else { "" };
        let (width, height) = picture.dimensions();
        self.0 +=
            &format!("<img{class} width=\"{width}\" height=\"{height}\" alt=\"{}\" src=\"data:image/png;base64,{data}\">\n", escaped(what));
        Ok(())
    }

    /// Names with probabilities.
    pub fn table(&mut self, rows: &[(String, f64)]) {
        self.0 += "<table>\n";
        for (name, share) in rows {
            let name = escaped(name);
            let _ = writeln!(self.0, "<tr><td>{name}<td><meter value=\"{share:.4}\"></meter><td>{:.1} %</tr>", share * 100.0);
        }
        self.0 += "</table>\n";
    }

    /// The whole page.
    pub fn finish(self) -> String {
        self.0 + "</html>\n"
    }
}

/// Text as HTML.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_hold_their_pictures_and_escape_names() {
        let mut page = Page::new("<net> & \"photo\"", "on a device");
        page.section("a", "b < c");
        page.picture(&RgbImage::new(3, 2), "nothing", true).unwrap();
        page.table(&[("cat".into(), 0.968)]);
        let text = page.finish();
        assert!(text.contains("<title>&lt;net&gt; &amp; &quot;photo&quot;</title>") && text.contains("b &lt; c"));
        assert!(text.contains("width=\"3\" height=\"2\"") && text.contains("src=\"data:image/png;base64,iVBORw0KGgo"));
        assert!(text.contains("96.8 %"));
        assert!(!text.contains("http:") && !text.contains("https:"), "nothing is fetched");
    }
}
