//! Round trips of every mapping file of every party, the published examples, and refusals.

use super::*;
use proptest::prelude::*;
use serde_json::json;
use std::{fs, path::PathBuf};
use time::macros::offset;

const ZONE: UtcOffset = offset!(+8);

fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for party in fs::read_dir("partners").unwrap() {
        let Ok(found) = fs::read_dir(party.unwrap().path().join("mapping")) else { continue };
        files.extend(found.map(|file| file.unwrap().path()));
    }
    files.sort();
    files
}

fn example(type_name: &str) -> Value {
    let mut event: Value =
        serde_json::from_slice(&fs::read(format!("schemas/examples/valid/{type_name}.json")).unwrap()).unwrap();
    // An example need not show what its type allows but does not require.
    if type_name == "contract.registered.v1" {
        for name in ["employer", "job", "place"] {
            event["data"][name] = example("contract.submitted.v1")["data"][name].clone();
        }
    }
    event["data"]["placement"] = json!({"id": "A".repeat(26), "reference": "R-1"});
    event["time"] = json!("2027-01-01T02:15:00+08:00");
    event
}

#[test]
fn every_mapping_carries_its_example_out_and_back_and_names_what_it_loses() {
    let (mut inbound, mut outbound) = (0, 0);
    for file in files() {
        let mapping = Mapping::load(&file, ZONE).unwrap();
        let mut event = example(&mapping.type_name);
        // Codes and prefixes are the party's own: take a value that its tables know.
        for row in &mapping.rows {
            match &row.codec {
                Codec::Table { to_canonical, .. } if event.pointer(&row.field.canonical).is_some() => {
                    let (code, value) = to_canonical.iter().next().unwrap();
                    set(&mut event, &row.field.canonical, value.clone().into());
                    if row.field.canonical == "/data/job/isco" {
                        set(&mut event, "/data/job/source/code", code.clone().into());
                    }
                }
                Codec::Hijri => set(&mut event, &row.field.canonical, "1448-12-30".into()),
                Codec::Digits if row.field.required => set(&mut event, &row.field.canonical, "2100000005".into()),
                _ => {}
            }
        }
        let wire = mapping.to_wire(&event).unwrap_or_else(|faults| panic!("{}: {faults:?}", file.display()));
        let schema = file.to_string_lossy().replace("/mapping/", "/wire/").replace(".toml", ".schema.json");
        let schema = crate::schema::wire::WireSchema::load(schema.as_ref()).unwrap();
        assert_eq!(schema.check(&wire), [], "{}: {wire}", file.display());
        let back = mapping.to_canonical(&wire).unwrap_or_else(|faults| panic!("{}: {faults:?}", file.display()));
        let lossy: Vec<&str> = mapping.lossy().collect();
        for pointer in mapping.pointers().filter(|pointer| !lossy.contains(pointer)) {
            assert_eq!(back.pointer(pointer), event.pointer(pointer), "{}: {pointer}", file.display());
        }
        assert_eq!(mapping.to_wire(&back).ok(), Some(wire), "{}: out, back, out", file.display());
        if mapping.authority.is_some() { inbound += 1 } else { outbound += 1 }
    }
    assert!(inbound >= 18 && outbound >= 18, "{inbound} in, {outbound} out");
}

fn codec(name: &str) -> Codec {
    Codec::new(name, ZONE, None, Some("MY-".into())).unwrap()
}

proptest! {
    #[test]
    fn what_a_codec_writes_it_reads_again(day in 0i32..40_000, second in 0i64..86_400, amount in 0u32..999_999_999, cents in 0u8..100) {
        let date = time::macros::date!(1950-01-01) + time::Duration::days(day.into());
        let iso = Value::from(date.to_string());
        for name in ["date-dmy", "date-iso"] {
            let codec = codec(name);
            prop_assert_eq!(codec.read(&codec.write(&iso).unwrap()).unwrap(), iso.clone());
        }
        let text = iso.as_str().unwrap();
        for birth in [
            json!({"value": text, "precision": "DAY"}),
            json!({"value": text[..7], "precision": "MONTH"}),
            json!({"value": text[..4], "precision": "YEAR"}),
            json!({"precision": "UNKNOWN"}),
        ] {
            for name in ["birth-date-dmy", "birth-date-iso"] {
                let codec = codec(name);
                prop_assert_eq!(codec.read(&codec.write(&birth).unwrap()).unwrap(), birth.clone());
            }
        }
        let instant = date.midnight().assume_offset(ZONE) + time::Duration::seconds(second);
        let instant = Value::from(instant.format(&time::format_description::well_known::Rfc3339).unwrap());
        for name in ["datetime-dmy", "datetime-iso-local"] {
            let codec = codec(name);
            prop_assert_eq!(codec.read(&codec.write(&instant).unwrap()).unwrap(), instant.clone());
        }
        let money = Value::from(format!("{amount}.{cents:02}"));
        for name in ["money-text", "money-number"] {
            let codec = codec(name);
            prop_assert_eq!(codec.read(&codec.write(&money).unwrap()).unwrap(), money.clone());
        }
    }

    #[test]
    fn no_codec_panics_on_any_text(text in ".{0,60}") {
        let value = Value::from(text);
        for name in ["text", "upper-name", "digits", "prefix", "date-dmy", "date-iso", "birth-date-dmy", "birth-date-iso", "datetime-dmy",
                     "datetime-iso-local", "date-hijri", "money-text", "money-number", "integer", "number"] {
            let _ = codec(name).read(&value);
            let _ = codec(name).write(&value);
        }
    }
}

#[test]
fn a_birth_date_is_written_as_far_as_it_is_known() {
    let month = json!({"value": "1996-02", "precision": "MONTH"});
    assert_eq!(codec("birth-date-dmy").write(&month), Ok("00/02/1996".into()));
    assert_eq!(codec("birth-date-iso").write(&month), Ok("1996-02-00".into()));
    assert_eq!(codec("birth-date-dmy").write(&json!({"precision": "UNKNOWN"})), Ok("00/00/0000".into()));
    for bad in ["30/02/1996", "00/13/1996", "01/00/1996", "00/02/0000", "00/00/96", "00-02-1996"] {
        assert!(codec("birth-date-dmy").read(&bad.into()).is_err(), "{bad}");
    }
    assert!(codec("birth-date-dmy").write(&json!({"value": "1996-2"})).is_err());
}

#[test]
fn the_published_examples_read_as_they_should() {
    let my = Mapping::load("partners/my/mapping/kemasukan.toml".as_ref(), ZONE).unwrap();
    let event = my
        .to_canonical(&json!({"idMesej": "1", "masaHantar": "01/01/2027 03:00:00", "noRujukan": "MY-OCS-00017",
            "noPasport": "E7654321", "nama": "DEWI AYU RATNASARI", "jantina": "P", "tarikhLahir": "29/02/1996",
            "warganegara": "IDN", "tarikhMasuk": "01/01/2027 02:15", "kodNegeri": "14", "statusMasuk": "MASUK"}))
        .unwrap();
    assert_eq!(event["data"]["movement"]["at"], "2027-01-01T02:15:00+08:00");
    assert_eq!(event["data"]["worker"]["sex"], "F");
    assert_eq!(event["data"]["place"]["region"], "MY-14");
    let sa = Mapping::load("partners/sa/mapping/iqama.toml".as_ref(), offset!(+3)).unwrap();
    let event = sa
        .to_canonical(&json!({"header": {"correlationId": "1", "sentAt": "2027-01-01T02:15:00"},
            "body": {"iqamaNo": "٢١٠٠٠٠٠٠٠٥", "borderNo": "3000000017", "passportNo": "X2345678",
                     "placementRef": "-", "iqamaExpiryDateHijri": "1448/12/30"}}))
        .unwrap();
    assert_eq!(event["data"]["permit"]["residentNumber"], "2100000005");
    assert_eq!(event["data"]["permit"]["validUntil"]["hijri"], "1448-12-30");
    assert!(event["data"].get("placement").is_none(), "a dash says nothing");
}

#[test]
fn a_fault_names_the_line_and_both_pointers_and_no_value() {
    let my = Mapping::load("partners/my/mapping/kemasukan.toml".as_ref(), ZONE).unwrap();
    let faults =
        my.to_canonical(&json!({"idMesej": 7, "masaHantar": "31/02/2027 03:00:00", "noPasport": "E1"})).unwrap_err();
    let found: Vec<(&str, &str)> = faults.iter().map(|fault| (fault.wire.as_str(), fault.rule)).collect();
    assert_eq!(
        found,
        [
            ("/idMesej", "text"),
            ("/masaHantar", "local date and time"),
            ("/tarikhMasuk", "required"),
            ("/statusMasuk", "required")
        ]
    );
    assert!(faults[0].line > 1 && faults[0].canonical == "/id");
}

#[test]
fn a_mapping_file_with_a_fault_says_the_line() {
    let text = "type = \"a.b.v1\"\n\n[[field]]\ncanonical = \"/id\"\nwire = \"/x\"\ncodec = \"rot13\"\n";
    assert_eq!(Mapping::parse(text, ZONE).unwrap_err(), "line 3: there is no codec rot13");
}
