//! Round trips in every format, hostile bodies, and any bytes at all.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn entry() -> Value {
    json!({"xml": {"name": "Entry", "namespace": "urn:example:entry"}, "csv": {"bom": true}, "required": ["a"],
        "properties": {
            "a": {"type": "string"}, "b": {"type": ["string", "null"]},
            "part": {"type": "object", "properties": {"@id": {"type": "string"}, "c": {"type": "string"}}},
            "item": {"type": "array", "items": {"type": "object", "properties": {"d": {"type": "string"}}}},
            "word": {"type": "array", "items": {"type": "string"}}}})
}

fn xml(text: &str) -> Result<Value, &'static str> {
    read(Format::Xml, &entry(), text.as_bytes()).map_err(|fault| fault.reason)
}

#[test]
fn xml_reads_elements_attributes_lists_and_references() {
    let record = xml(
        "\u{FEFF}<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!-- c --><Entry xmlns=\"urn:example:entry\">\r\n <a>&lt;&#x4E2D;&amp;<![CDATA[<x>]]></a>\n<b/>\
         <part id='7&quot;'><c> 1 </c></part><item><d>x</d></item><item><d>y</d></item><word>one</word></Entry>",
    );
    let expected = json!({"a": "<中&<x>", "b": "", "part": {"@id": "7\"", "c": " 1 "}, "item": [{"d": "x"}, {"d": "y"}],
        "word": ["one"]});
    assert_eq!(record, Ok(expected));
}

#[test]
fn an_element_is_an_object_or_a_text_by_its_schema_not_by_what_it_holds() {
    let root = |inner: &str| xml(&format!("<Entry xmlns=\"urn:example:entry\">{inner}</Entry>"));
    assert_eq!(root("<part>\n</part>"), Ok(json!({"part": {}})));
    assert_eq!(root("<part>7</part><other>8</other>"), Ok(json!({"part": {"#text": "7"}, "other": "8"})));
    assert_eq!(root("<part id=\"1\">7</part>"), Ok(json!({"part": {"@id": "1", "#text": "7"}})));
}

#[test]
fn what_is_dangerous_or_ambiguous_in_xml_is_refused() {
    let root = |inner: &str| format!("<Entry xmlns=\"urn:example:entry\">{inner}</Entry>");
    let many: String = (0..100).map(|n| format!(" a{n}=''")).collect();
    let deep = "<b>".repeat(40) + &"</b>".repeat(40);
    for (text, reason) in [
        ("<!DOCTYPE Entry [<!ENTITY e \"x\">]><Entry xmlns=\"urn:example:entry\"/>".to_owned(), "xml-doctype"),
        (root("<a>&e;</a>"), "xml-entity"),
        (root("<a>&#0;</a>"), "xml-entity"),
        (root("<?php x?>"), "xml-instruction"),
        (root("<a>1</a><a>2</a>"), "xml-repeated"),
        (root("text<a>1</a>"), "xml-mixed"),
        (root("<part>text<c>1</c></part>"), "xml-mixed"),
        (root("<p:a xmlns:p=\"u\"/>"), "xml-name"),
        (root(&deep), "too-deep"),
        (root(&format!("<b{many}/>")), "xml-attributes"),
        (root("<a>"), "xml-syntax"),
        (root("<a x='1' x='2'/>"), "xml-syntax"),
        ("<Entry/>".to_owned(), "xml-namespace"),
        ("<Other xmlns=\"urn:example:entry\"/>".to_owned(), "xml-root"),
        (root("<a>1</a>") + "<Entry/>", "xml-syntax"),
        ("<?xml version=\"1.0\" encoding=\"Big5\"?>".to_owned() + &root(""), "xml-encoding"),
        (String::new(), "xml-syntax"),
        ("{}".to_owned(), "xml-syntax"),
    ] {
        assert_eq!(xml(&text), Err(reason), "{text}");
    }
}

#[test]
fn a_csv_file_gives_its_rows_with_their_lines_and_bytes_that_do_not_depend_on_the_place() {
    let file = "\u{FEFF}a,b\r\n\"SITI, BINTI ALI\",1\r\n\r\n\"two\r\nlines\",\"say \"\"x\"\"\"\r\nshort\r\nlast,4";
    let rows = Rows::read(&entry(), file.as_bytes()).unwrap().rows;
    let found: Vec<(u64, Option<Value>)> = rows.iter().map(|row| (row.line, row.record.clone())).collect();
    assert_eq!(
        found,
        [
            (2, Some(json!({"a": "SITI, BINTI ALI", "b": "1"}))),
            (4, Some(json!({"a": "two\r\nlines", "b": "say \"x\""}))),
            (6, None),
            (7, Some(json!({"a": "last", "b": "4"}))),
        ]
    );
    assert_eq!(rows[0].bytes, b"a,b\r\n\"SITI, BINTI ALI\",1\r\n");
    let other = Rows::read(&entry(), "a,b\nlast,4\nx,y\n\"SITI, BINTI ALI\",1".as_bytes()).unwrap().rows;
    assert_eq!(other[0].bytes, rows[3].bytes);
    assert_eq!(other[2].bytes, rows[0].bytes);
    for bad in ["", "b\n1", "a,a\n1,2", "a,\n1,2"] {
        assert_eq!(Rows::read(&entry(), bad.as_bytes()).unwrap_err().reason, "csv-header", "{bad}");
    }
    for bad in ["a,".to_owned() + &"x".repeat(20_000), (0..600).map(|n| format!("c{n},")).collect::<String>() + "a"] {
        assert_eq!(Rows::read(&entry(), bad.as_bytes()).unwrap_err().reason, "csv-header");
    }
    let long = "a\n".to_owned() + &"x".repeat((1 << 20) + 1);
    assert_eq!(Rows::read(&entry(), long.as_bytes()).unwrap_err().reason, "csv-row-too-long");
    let many = "a\n".to_owned() + &"1\n".repeat(1_001);
    assert_eq!(Rows::read(&entry(), many.as_bytes()).unwrap_err().reason, "too-many-items");
}

#[test]
fn a_form_is_flat_and_says_each_name_once() {
    let form = |text: &str| read(Format::Form, &entry(), text.as_bytes()).map_err(|fault| fault.reason);
    assert_eq!(form("a=%E4%B8%AD+1&b="), Ok(json!({"a": "中 1", "b": ""})));
    assert_eq!(form("a=1&a=2"), Err("duplicate-name"));
    assert_eq!(form("a"), Err("form-syntax"));
    assert_eq!(form("a=%4"), Err("form-escape"));
    assert_eq!(form("a=%FF"), Err("form-escape"));
    assert!(write(Format::Form, &entry(), &json!({"a": {}})).is_err());
}

/// Text that XML 1.0 can carry.
fn text() -> impl Strategy<Value = String> {
    "[ -~\t\n\r\u{E9}\u{4E2D}\u{0645}\u{1F600}]{0,12}"
}

fn record() -> impl Strategy<Value = Value> {
    let list = || proptest::collection::vec(text(), 1..4);
    (text(), text(), text(), list(), list()).prop_map(|(a, id, c, items, words)| {
        let items: Vec<Value> = items.into_iter().map(|d| json!({"d": d})).collect();
        json!({"a": a, "b": "", "part": {"@id": id, "c": c}, "item": items, "word": words})
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(record in record(), a in text(), b in text()) {
        for format in [Format::Xml, Format::Json] {
            let bytes = write(format, &entry(), &record).unwrap();
            prop_assert_eq!(read(format, &entry(), &bytes), Ok(record.clone()));
        }
        let flat = json!({"a": a, "b": b});
        let form = write(Format::Form, &entry(), &flat).unwrap();
        prop_assert_eq!(read(Format::Form, &entry(), &form), Ok(flat.clone()));
        let mut schema = entry();
        schema["properties"] = json!({"a": {}, "b": {}});
        let file = write_rows(&schema, &[flat.clone(), flat.clone()]).unwrap();
        let rows = Rows::read(&schema, &file).unwrap().rows;
        prop_assert_eq!(rows.len(), 2);
        prop_assert_eq!(rows[1].record.as_ref(), Some(&flat));
        prop_assert_eq!(&rows[0].bytes, &rows[1].bytes);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "[<>/=\"'&;#!\\[\\]A-c,\r\n-]{0,80}") {
        for format in [Format::Json, Format::Xml, Format::Form, Format::Csv] {
            for bytes in [&bytes[..], text.as_bytes(), format!("<Entry xmlns=\"urn:example:entry\">{text}</Entry>").as_bytes()] {
                if let Ok(value) = read(format, &entry(), bytes) {
                    let _ = write(format, &entry(), &value);
                }
            }
        }
    }
}
