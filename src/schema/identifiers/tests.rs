use super::super::{Schemas, catalogue::Level};
use crate::message::problem::Fault;
use serde_json::{Value, json};
use std::{fs, path::Path, sync::LazyLock};

/// ICAO 9303 part 4, the specimen of appendix B.
const SPECIMEN: &str = "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<L898902C36UTO7408122F1204159ZE184226B<<<<<10";

static SCHEMAS: LazyLock<Schemas> =
    LazyLock::new(|| Schemas::load(Path::new("schemas")).unwrap_or_else(|faults| panic!("{faults:?}")));

fn param<'f>(fault: &'f Fault, name: &str) -> &'f str {
    fault.params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).unwrap_or_default()
}

/// Level, rule and part of what `data` breaks.
fn broken(data: &Value) -> Vec<(Level, String, String)> {
    let found = SCHEMAS.check_identifiers(data);
    for (level, fault) in &found {
        assert_eq!(param(fault, "level"), level.as_str(), "the answer names the level");
        assert!(fault.pointer.starts_with("/data/"), "{}", fault.pointer);
    }
    found.into_iter().map(|(level, fault)| (level, fault.rule.clone(), param(&fault, "part").to_owned())).collect()
}

fn is(found: &[(Level, String, String)], wanted: &[(Level, &str, &str)]) -> bool {
    found.len() == wanted.len()
        && found.iter().zip(wanted).all(|(a, b)| (a.0, a.1.as_str(), a.2.as_str()) == (b.0, b.1, b.2))
}

#[track_caller]
fn breaks(data: Value, wanted: &[(Level, &str, &str)]) {
    let found = broken(&data);
    assert!(is(&found, wanted), "{data}: {found:?} is not {wanted:?}");
}

fn worker(nik: &str, birth: &str, precision: &str, sex: &str) -> Value {
    json!({"worker": {"nik": nik, "birthDate": {"value": birth, "precision": precision}, "sex": sex}})
}

#[test]
fn a_nik_of_a_woman_and_of_a_man() {
    breaks(worker("3201016902960001", "1996-02-29", "DAY", "F"), &[]);
    breaks(worker("3201012902960001", "1996-02-29", "DAY", "M"), &[]);
    breaks(worker("٣٢٠١٠١٦٩٠٢٩٦٠٠٠١", "1996-02-29", "DAY", "F"), &[]);
    breaks(worker("3201016902960001", "1996-02-29", "DAY", "M"), &[(Level::Soft, "identifier-differs", "sex")]);
    breaks(worker("3201016902960001", "1996-02-29", "DAY", "X"), &[]);
}

#[test]
fn a_corrected_birth_date_flags_a_nik_and_no_more() {
    let flagged = [(Level::Soft, "identifier-differs", "birth")];
    breaks(worker("3201016902960001", "1995-02-28", "DAY", "F"), &flagged);
    // The century is not in the number.
    breaks(worker("3201016902960001", "1896-02-29", "DAY", "F"), &[]);
    // What the record does not know contradicts nothing.
    breaks(worker("3201016902960001", "1996-11-11", "YEAR", "F"), &[]);
    breaks(worker("3201016902960001", "1996", "YEAR", "F"), &[]);
    breaks(worker("3201016902960001", "1996-03-01", "MONTH", "F"), &flagged);
    breaks(worker("3201016902960001", "1950", "UNKNOWN", "F"), &[]);
}

#[test]
fn a_nik_without_day_and_month_is_none_the_worse() {
    breaks(worker("3201010000960001", "1996-02-29", "DAY", "M"), &[]);
    breaks(worker("3201014000960001", "1996-02-29", "DAY", "F"), &[]);
}

#[test]
fn an_impossible_date_in_a_nik_is_flagged_once() {
    breaks(worker("3201013102960001", "1996-02-29", "DAY", "F"), &[(Level::Soft, "identifier-date", "birth")]);
    breaks(worker("3201019913960001", "1996-02-29", "DAY", "F"), &[(Level::Soft, "identifier-date", "birth")]);
}

#[test]
fn a_region_that_the_list_lacks_is_flagged_with_the_list_and_its_date() {
    let found = SCHEMAS.check_identifiers(&json!({"worker": {"nik": "5401016902960001"}}));
    let [(Level::Soft, fault)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((fault.rule.as_str(), param(fault, "part")), ("identifier-table", "region"));
    assert!(param(fault, "list").contains("2025-04-25"));
    // A town's code begins at 71.
    breaks(json!({"worker": {"nik": "3276016902960001"}}), &[]);
    breaks(json!({"worker": {"nik": "3270016902960001"}}), &[(Level::Soft, "identifier-table", "region")]);
}

#[test]
fn a_region_code_is_of_a_regency_on_the_dated_list() {
    let from = |code: &str| json!({"worker": {"origin": code}});
    for code in ["32.01", "32.01.01", "32.01.01.2003", "32.76.01.1001", "٣٢.٠١"] {
        breaks(from(code), &[]);
    }
    // A province without a regency, the codes of a NIK or of the statistics office, a village without its district.
    for code in ["32", "3201", "3201010", "32.01.2003", "32.1", "32.01.01.2003.1"] {
        breaks(from(code), &[(Level::Soft, "identifier-shape", "")]);
    }
    for code in ["32.70", "54.01.01.2003"] {
        breaks(from(code), &[(Level::Soft, "identifier-table", "regency")]);
    }
    let found = SCHEMAS.check_identifiers(&from("32.70"));
    assert!(param(&found[0].1, "list").contains("2025-04-25"), "the answer names the list and its day");
}

#[test]
fn shape_is_judged_before_all_else() {
    breaks(worker("320101690296000", "1950-01-01", "DAY", "M"), &[(Level::Hard, "identifier-shape", "")]);
    breaks(json!({"travelDocument": {"number": "E1"}}), &[(Level::Hard, "identifier-shape", "")]);
    breaks(json!({"travelDocument": {"number": "E7654321"}}), &[]);
    breaks(json!({"travelDocument": {"number": "AB123456"}}), &[(Level::Soft, "identifier-unusual", "")]);
}

#[test]
fn an_identifier_as_a_number_is_refused_also_where_its_kind_stands_beside_it() {
    let data = json!({"employer": {"identifier": {"kind": "citizen-id", "value": 1_000_000_008}}});
    let found = broken(&data);
    assert!(is(&found, &[(Level::Hard, "identifier-not-text", "")]), "{found:?}");
}

fn document(mrz: &str) -> Value {
    json!({
        "worker": {
            "name": {"full": "Anna Maria Eriksson"}, "sex": "F", "nationality": "UTO",
            "birthDate": {"value": "1974-08-12", "precision": "DAY"}
        },
        "travelDocument": {"mrz": mrz, "issuer": "UTO", "number": "L898902C3", "expiresOn": "2012-04-15"}
    })
}

fn broken_mrz(mrz: &str) -> Vec<(Level, String, String)> {
    let mut found = broken(&document(mrz));
    // The specimen's number is no letter with seven digits.
    found.retain(|(_, rule, _)| rule != "identifier-unusual");
    found
}

#[test]
fn the_specimen_passes_with_and_without_a_line_break() {
    assert_eq!(broken_mrz(SPECIMEN), []);
    let (first, second) = SPECIMEN.split_at(44);
    for between in ["\n", "\r\n"] {
        assert_eq!(broken_mrz(&format!("{first}{between}{second}")), []);
    }
    let oracle = mrz::parse_td3(first, second).unwrap();
    assert!(oracle.valid());
}

#[test]
fn a_damaged_zone_says_which_check_digit_is_wrong() {
    let damaged = |at: usize, by: &str| {
        let mut text = SPECIMEN.to_owned();
        text.replace_range(at..=at, by);
        let mut parts: Vec<String> =
            broken_mrz(&text).into_iter().filter(|(_, rule, _)| rule == "identifier-part").map(|b| b.2).collect();
        parts.sort();
        parts
    };
    assert_eq!(damaged(44, "M"), ["composite", "number"]);
    assert_eq!(damaged(57, "8"), ["birth", "composite"]);
    assert_eq!(damaged(65, "2"), ["composite", "expiry"]);
    assert_eq!(damaged(72, "Y"), ["composite", "optional"]);
    assert_eq!(damaged(87, "1"), ["composite"]);
    // Neither digit covers the names; a lost character is no zone.
    assert_eq!(damaged(10, "X"), [""; 0]);
    assert!(is(&broken_mrz(&SPECIMEN[1..]), &[(Level::Firm, "identifier-shape", "")]));
}

#[test]
fn a_zone_is_held_against_the_record() {
    let with = |pointer: &str, value: &str| {
        let mut data = document(SPECIMEN);
        *data.pointer_mut(pointer).unwrap() = value.into();
        let mut found = broken(&data);
        found.retain(|(_, rule, _)| rule == "identifier-differs");
        found
    };
    let differs = |level, part| [(level, "identifier-differs", part)];
    assert!(is(&with("/travelDocument/number", "L898902C4"), &differs(Level::Firm, "number")));
    assert!(is(&with("/worker/birthDate/value", "1974-08-13"), &differs(Level::Firm, "birth")));
    assert!(is(&with("/worker/sex", "M"), &differs(Level::Soft, "sex")));
    assert!(is(&with("/travelDocument/expiresOn", "2013-04-15"), &differs(Level::Soft, "expiry")));
    assert!(is(&with("/worker/nationality", "IDN"), &differs(Level::Soft, "nationality")));
    assert!(is(&with("/worker/name/full", "Anna Marta Eriksson"), &differs(Level::Soft, "name")));
    // A fuller name than the document's is an endorsed name or a father's.
    assert!(is(&with("/worker/name/full", "Anna Maria Eriksson binti Karl"), &[]));
}

/// A zone as another implementation writes it.
fn written(surname: &str, given: &str, birth: &str, personal: Option<&str>) -> String {
    mrz::format_td3(&mrz::Td3Fields {
        issuing_country: "IDN".into(),
        document_number: "E7654321".into(),
        surname: surname.into(),
        given_names: given.into(),
        nationality: "IDN".into(),
        date_of_birth: birth.parse().unwrap(),
        sex: mrz::Sex::Female,
        date_of_expiry: "2030-05-01".parse().unwrap(),
        personal_number: personal.map(str::to_owned),
        ..Default::default()
    })
}

#[test]
fn zones_of_another_implementation_pass() {
    let long = ("KUSUMAWARDHANI", "MARIA MAGDALENA RATNASARI PUTRI WULANDARI");
    for (surname, given, full) in [
        ("RATNASARI", "DEWI AYU", "DEWI AYU RATNASARI"),
        ("SUKARNI", "", "SUKARNI"),
        (long.0, long.1, "MARIA MAGDALENA RATNASARI PUTRI WULANDARI KUSUMAWARDHANI"),
    ] {
        for (birth, personal) in [("1996-02-29", None), ("1996-02-29", Some("ZE184226B")), ("96<<<<", None)] {
            let data = json!({
                "worker": {
                    "name": {"full": full}, "sex": "F", "nationality": "IDN",
                    "birthDate": {"value": "1996-02-29", "precision": "DAY"}
                },
                "travelDocument": {"mrz": written(surname, given, birth, personal), "issuer": "IDN",
                    "number": "E7654321", "expiresOn": "2030-05-01"}
            });
            breaks(data, &[]);
        }
    }
}

#[test]
fn an_nrics_last_digit_is_odd_for_a_man() {
    let employer = |value: &str, sex: &str| json!({"employer": {"identifier": {"kind": "nric", "value": value}, "sex": sex, "birthDate": "1980-01-01"}});
    breaks(employer("800101-14-5567", "M"), &[]);
    breaks(employer("800101145566", "F"), &[]);
    breaks(employer("800101-14-5567", "F"), &[(Level::Soft, "identifier-differs", "sex")]);
    breaks(employer("790101-14-5567", "M"), &[(Level::Soft, "identifier-differs", "birth")]);
    breaks(employer("801301-14-5567", "M"), &[(Level::Soft, "identifier-date", "birth")]);
    breaks(employer("800101-17-5567", "M"), &[(Level::Soft, "identifier-table", "place")]);
    breaks(employer("800101-17-556", "M"), &[(Level::Soft, "identifier-shape", "")]);
}

#[test]
fn a_wage_account_has_an_iban_of_a_country_that_has_any() {
    let account = |iban: &str| broken(&json!({"contract": {"wage": {"iban": iban}}}));
    assert_eq!(account("SA03 8000 0000 6080 1016 7519"), []);
    assert!(is(&account("SA0380000000608010167518"), &[(Level::Firm, "identifier-check", "")]));
    // Right modulo 97, wrong length.
    let short = (0..100).map(|n| format!("SA{n:02}80000000608010")).find(|t| t.parse::<iban::BaseIban>().is_ok());
    assert!(is(&account(&short.unwrap()), &[(Level::Firm, "identifier-shape", "country")]));
    for country in ["MY", "ID"] {
        let good =
            (2..99).map(|n| format!("{country}{n:02}CIMB0000001234567")).find(|t| t.parse::<iban::BaseIban>().is_ok());
        assert!(is(&account(&good.unwrap()), &[(Level::Firm, "identifier-table", "country")]), "{country}");
    }
    // Examples of the registry.
    for iban in [
        "AE070331234567890123456",
        "BH67BMAG00001299123456",
        "DE89370400440532013000",
        "GB29NWBK60161331926819",
        "KW81CBKU0000000000001234560101",
        "MT84MALT011000012345MTLCAST001S",
        "NO9386011117947",
        "QA58DOHB00001234567890ABCDEFG",
        "SA0380000000608010167519",
        "TR330006100519786457841326",
    ] {
        assert_eq!(account(iban), [], "{iban}");
        assert!(iban.parse::<iban::Iban>().is_ok(), "{iban}");
    }
}

fn rows(file: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(file).unwrap();
    let rows = text.lines().filter(|line| !line.starts_with('#')).skip(1);
    rows.map(|row| row.split_once(',').unwrap()).map(|(code, second)| (code.to_owned(), second.to_owned())).collect()
}

#[test]
fn the_list_of_regions_is_whole() {
    let regions = rows("schemas/regions/id.csv");
    assert_eq!(regions.len(), 514);
    let provinces: std::collections::BTreeSet<&str> = regions.iter().map(|(code, _)| &code[..2]).collect();
    assert_eq!(provinces.len(), 38);
    for (code, name) in &regions {
        let kind = match code[2..].parse::<u8>().unwrap() {
            1..=69 => "Kabupaten ",
            71..=99 => "Kota ",
            _ => panic!("{code}"),
        };
        assert!(name.starts_with(kind), "{code} {name}");
    }
}

#[test]
fn the_list_of_ibans_is_that_of_another_implementation() {
    let lengths = rows("schemas/regions/iban.csv");
    let known = |country: &str, length: usize| {
        let account = |n: u32| format!("{country}{n:02}{}", "0".repeat(length - 4));
        let base = (2..99).map(account).find_map(|text| text.parse::<iban::BaseIban>().ok()).unwrap();
        !matches!(iban::Iban::try_from(base), Err(iban::ParseIbanError::UnknownCountry(_)))
    };
    let all = ('A'..='Z').flat_map(|a| ('A'..='Z').map(move |b| format!("{a}{b}")));
    let theirs: Vec<String> = all.filter(|country| known(country, 20)).collect();
    assert!(theirs.len() > 80);
    let ours: Vec<&String> = lengths.iter().map(|(country, _)| country).collect();
    let lost: Vec<&String> = theirs.iter().filter(|country| !ours.contains(country)).collect();
    assert_eq!(lost, [""; 0]);
    // The crate's copy of the registry lacks two that newer releases have.
    let newer = ours.iter().filter(|country| !theirs.contains(country));
    let unknown: Vec<&&String> = newer.filter(|country| !["HN", "PK"].contains(&country.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn one_day_between_two_calendars_is_flagged_and_two_are_held() {
    let permit = |hijri: &str, gregorian: &str| {
        broken(&json!({"permit": {"validUntil": {"hijri": hijri, "gregorian": gregorian}}}))
    };
    assert_eq!(permit("1448-12-30", "2027-06-05"), []);
    assert_eq!(permit("١٤٤٨-١٢-٣٠", "2027-06-05"), []);
    for near in ["2027-06-04", "2027-06-06"] {
        assert!(is(&permit("1448-12-30", near), &[(Level::Soft, "calendars-one-day", "")]));
    }
    for far in ["2027-06-03", "2027-06-07", "2072-06-05"] {
        assert!(is(&permit("1448-12-30", far), &[(Level::Firm, "calendars-differ", "")]));
    }
}

#[test]
fn a_hijri_date_that_the_table_lacks_is_refused_by_its_schema() {
    let text = fs::read("schemas/examples/valid/permit.issued.v1.json").unwrap();
    let event: Value = serde_json::from_slice(&text).unwrap();
    for (hijri, exists) in [
        ("1446-09-29", true),
        ("1446-09-30", false),
        ("1447-12-30", false),
        ("1299-12-01", false),
        ("1601-01-01", false),
    ] {
        let mut data = event["data"].clone();
        data["permit"]["validUntil"] = json!({"hijri": hijri});
        let rules: Vec<String> = SCHEMAS.check_data("permit.issued.v1", &data).into_iter().map(|f| f.rule).collect();
        assert_eq!(rules.is_empty(), exists, "{hijri}");
        assert!(exists || rules == ["hijri-date"], "{rules:?}");
    }
}

#[test]
fn a_wage_that_its_currency_cannot_pay_is_held() {
    let wage = |amount: &str, currency: &str| json!({"contract": {"wage": {"amount": amount, "currency": currency, "period": "MONTH"}}});
    breaks(wage("1500.00", "SAR"), &[]);
    breaks(wage("1500.500", "SAR"), &[]);
    breaks(wage("150.125", "KWD"), &[]);
    breaks(wage("1500.125", "SAR"), &[(Level::Firm, "money-places", "")]);
    breaks(wage("1500.00", "SRI"), &[(Level::Firm, "money-currency", "")]);
}

#[test]
fn numbers_without_a_published_format_are_opaque() {
    let number = |text: &str| json!({"permit": {"number": text}});
    breaks(number("PLKS/2026-№17 (baru)"), &[]);
    breaks(number(&"9".repeat(40)), &[]);
    breaks(number(&"9".repeat(41)), &[(Level::Hard, "identifier-shape", "")]);
}

#[test]
fn jobs_are_unit_groups() {
    for isco in ["5152", "9111", "5311", "5322", "5120", "8322"] {
        breaks(json!({"job": {"isco": isco}}), &[]);
    }
    breaks(json!({"job": {"isco": "5199"}}), &[(Level::Soft, "identifier-table", "code")]);
}

#[test]
fn a_broken_file_names_all_its_faults() {
    let folder = std::env::temp_dir().join(format!("onechannel-identifiers-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let rules = [
        ("a", r#"{ level = "SOFT", check = "magic" }"#, "no check magic"),
        ("b", r#"{ level = "SOFT", compare = "same", with = "/nowhere" }"#, "/nowhere is no field"),
        ("c", r#"{ level = "SOFT", compare = "same" }"#, "compares with nothing"),
        ("d", r#"{ level = "SOFT", check = "luhn", of = ["x"] }"#, "has a part x"),
        ("e", r#"{ level = "SOFT", table = "none.csv" }"#, "none.csv"),
        ("f", r#"{ level = "SOFT", check = "luhn", shape = "^x$" }"#, "is one of"),
        ("g", r#"{ level = "SOFT", shape = "(" }"#, "regex"),
        ("h", r#"{ level = "SOFT", shape = "^x$", fault = "unheard-of" }"#, "no sentence"),
    ];
    let kind = |(kind, rule, _): &(&str, &str, &str)| {
        format!("[[identifier]]\nkind = \"{kind}\"\nname = \"n\"\nsource = \"s\"\nrules = [{rule}]\n")
    };
    fs::write(folder.join("identifiers.toml"), rules.iter().map(kind).collect::<String>()).unwrap();
    let faults = super::IdentifierRules::load(&folder, SCHEMAS.fields()).unwrap_err();
    fs::remove_dir_all(&folder).unwrap();
    for (kind, _, why) in rules {
        let is =
            |fault: &&super::SchemaFault| fault.fault.starts_with(&format!("{kind}: ")) && fault.fault.contains(why);
        assert!(faults.iter().find(is).is_some(), "{kind}: {faults:?}");
    }
    assert!(faults.iter().any(|fault| fault.fault.contains("the x-identifier of /worker/nik")));
}
