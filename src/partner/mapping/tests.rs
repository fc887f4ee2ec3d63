//! Round trips of every mapping file of every party, the published examples, and refusals.

use super::{
    codec::{Codec, NAMES, Options, TEXT_NAMES},
    *,
};
use proptest::prelude::*;
use serde_json::json;
use time::macros::offset;

const ZONE: UtcOffset = offset!(+8);

fn with(name: &str, options: impl FnOnce(&mut Options)) -> Codec {
    let mut given = Options { prefix: Some("MY-".into()), ..Options::default() };
    options(&mut given);
    Codec::new(name, ZONE, &given).unwrap()
}

fn codec(name: &str) -> Codec {
    with(name, |_| {})
}

proptest! {
    #[test]
    fn what_a_codec_writes_it_reads_again(day in 0i32..40_000, second in 0i64..86_400, amount in 0u32..999_999_999, cents in 0u8..100) {
        let date = time::macros::date!(1950-01-01) + time::Duration::days(day.into());
        let iso = Value::from(date.to_string());
        for calendar in ["gregory", "roc", "buddhist", "islamic-umalqura"] {
            for name in ["date-dmy", "date-ymd", "date-iso", "date-compact"] {
                for digits in ["ascii", "arabic"] {
                    let codec = with(name, |options| {
                        options.calendar = Some(calendar.into());
                        options.digits = Some(digits.into());
                    });
                    prop_assert_eq!(codec.read(&codec.write(&iso).unwrap()).unwrap(), iso.clone());
                }
            }
        }
        let text = iso.as_str().unwrap();
        for birth in [
            json!({"value": text, "precision": "DAY"}),
            json!({"value": text[..7], "precision": "MONTH"}),
            json!({"value": text[..4], "precision": "YEAR"}),
            json!({"precision": "UNKNOWN"}),
        ] {
            for name in ["birth-date-dmy", "birth-date-ymd", "birth-date-iso", "birth-date-compact"] {
                for calendar in ["gregory", "roc", "buddhist"] {
                    let codec = with(name, |options| options.calendar = Some(calendar.into()));
                    prop_assert_eq!(codec.read(&codec.write(&birth).unwrap()).unwrap(), birth.clone());
                }
            }
        }
        let instant = date.midnight().assume_offset(ZONE) + time::Duration::seconds(second);
        let instant = Value::from(instant.format(&time::format_description::well_known::Rfc3339).unwrap());
        for name in ["datetime-dmy", "datetime-ymd", "datetime-iso-local", "datetime-iso", "datetime-compact"] {
            for calendar in ["gregory", "roc"] {
                let codec = with(name, |options| options.calendar = Some(calendar.into()));
                prop_assert_eq!(codec.read(&codec.write(&instant).unwrap()).unwrap(), instant.clone());
            }
        }
        let east = with("datetime-dmy", |options| options.zone = Some("+09:00".into()));
        let written = east.write(&instant).unwrap();
        prop_assert_ne!(Ok(written.clone()), codec("datetime-dmy").write(&instant));
        let read = east.read(&written).unwrap();
        let parse = |value: &Value| time::OffsetDateTime::parse(value.as_str().unwrap(), &time::format_description::well_known::Rfc3339);
        prop_assert_eq!(parse(&read), parse(&instant));
        let money = Value::from(format!("{amount}.{cents:02}"));
        for name in ["money-text", "money-number", "money-minor"] {
            let codec = codec(name);
            prop_assert_eq!(codec.read(&codec.write(&money).unwrap()).unwrap(), money.clone());
            let whole = with(name, |options| options.scale = Some(0));
            let round = Value::from(format!("{amount}.00"));
            prop_assert_eq!(whole.read(&whole.write(&round).unwrap()).unwrap(), round);
            prop_assert_eq!(whole.write(&money).is_ok(), cents == 0);
        }
        for name in ["integer", "integer-text", "number", "number-text"] {
            let codec = codec(name);
            let number = Value::from(amount);
            prop_assert_eq!(codec.read(&codec.write(&number).unwrap()).unwrap(), number);
        }
    }

    #[test]
    fn no_codec_panics_on_any_text(text in ".{0,60}") {
        let value = Value::from(text);
        for name in NAMES.into_iter().chain(TEXT_NAMES).filter(|name| *name != "table") {
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
    let faults = Mapping::parse(text, ZONE).unwrap_err();
    assert!(matches!(&faults[..], [(Some(3), fault)] if fault.starts_with("there is no codec rot13")), "{faults:?}");
}

#[test]
fn minguo_dates_are_read_and_written_by_the_calendar() {
    let roc = |name: &str| with(name, |options| options.calendar = Some("roc".into()));
    assert_eq!(roc("date-ymd").read(&"116/01/05".into()), Ok("2027-01-05".into()));
    assert_eq!(roc("date-ymd").read(&"85/02/29".into()), Ok("1996-02-29".into()));
    assert_eq!(roc("date-compact").read(&"1171231".into()), Ok("2028-12-31".into()));
    assert_eq!(roc("date-compact").read(&"850229".into()), Ok("1996-02-29".into()));
    assert_eq!(roc("date-compact").write(&"1996-02-29".into()), Ok("0850229".into()));
    assert_eq!(roc("datetime-ymd").read(&"116/01/01 02:15".into()), Ok("2027-01-01T02:15:00+08:00".into()));
    assert_eq!(roc("birth-date-ymd").write(&json!({"value": "1996-02", "precision": "MONTH"})), Ok("085/02/00".into()));
    assert!(roc("date-ymd").write(&"1911-12-31".into()).is_err(), "before the first year");
    for bad in ["2027/01/05", "116/02/29", "0/01/05", "000/01/01", "116-01-05", "116/1/5"] {
        assert!(roc("date-ymd").read(&bad.into()).is_err(), "{bad}");
    }
}

#[test]
fn options_say_how_a_value_looks() {
    let words = with("boolean", |options| {
        options.table = Some([("YA", "true"), ("TIDAK", "false")].map(|(a, b)| (a.to_owned(), b.to_owned())).into());
    });
    assert_eq!(words.read(&"TIDAK".into()), Ok(false.into()));
    assert_eq!(words.write(&true.into()), Ok("YA".into()));
    assert!(words.read(&"MAYBE".into()).is_err());
    let cut = with("upper-name", |options| options.max = Some(5));
    assert_eq!(cut.write(&"Dewi Ayu".into()), Ok("DEWI".into()));
    let arabic = with("money-text", |options| options.digits = Some("arabic".into()));
    assert_eq!(arabic.write(&"1500.00".into()), Ok("١٥٠٠.٠٠".into()));
    let table = with("table", |options| {
        options.table = Some([("1".to_owned(), "A".to_owned())].into());
        options.default = Some("OTHER".into());
    });
    assert_eq!((table.read(&1.into()), table.read(&"2".into())), (Ok("A".into()), Ok("OTHER".into())));
    assert!(table.write(&"OTHER".into()).is_err(), "no code says it");
    let zone = Options { zone: Some("x".into()), ..Options::default() };
    assert!(Codec::new("datetime-dmy", ZONE, &zone).is_err());
}

#[test]
fn lists_ids_and_computed_rows_come_from_the_file() {
    let text = "type = \"a.b.v1\"\n[id]\nfrom = [\"/no\", \"/at\"]\n[[list]]\ncanonical = \"/data/people\"\nwire = \"/person\"\n\
                [[list.field]]\ncanonical = \"/name\"\nwire = \"/n\"\ncodec = \"text\"\nrequired = true\n\
                [[field]]\ncanonical = \"/data/kind\"\njq = \".no | split(\\\"-\\\") | first\"\n";
    let mapping = Mapping::parse(text, ZONE).unwrap();
    let wire = json!({"no": "K-1", "at": "x", "person": [{"n": "A"}, {"n": "B"}]});
    let event = mapping.to_canonical(&wire).unwrap();
    assert_eq!(event["data"], json!({"people": [{"name": "A"}, {"name": "B"}], "kind": "K"}));
    assert_eq!(event["id"], mapping.to_canonical(&json!({"at": "x", "no": "K-1", "person": []})).unwrap()["id"]);
    assert_ne!(event["id"], mapping.to_canonical(&json!({"at": "y", "no": "K-1"})).unwrap()["id"]);
    assert_eq!(mapping.to_wire(&event).unwrap(), json!({"person": [{"n": "A"}, {"n": "B"}]}));
    let faults = mapping.to_canonical(&json!({"no": "K-1", "person": [{"n": "A"}, {}]})).unwrap_err();
    assert_eq!((faults[0].wire.as_str(), faults[0].canonical.as_str()), ("/person/1/n", "/data/people/1/name"));
    assert!(faults[0].line > 1);
}

#[test]
fn every_fault_of_a_file_comes_at_once() {
    let text = "type = \"a.b.v1\"\n[[field]]\ncanonical = \"/id\"\nwire = \"/x\"\ncodec = \"rot13\"\n[[field]]\ncanonical = \"/time\"\n\
                jq = \"repeat(.)\"\n[[field]]\ncanonical = \"/y\"\nwire = \"/y\"\ncodec = \"upper-name\"\n[[field]]\ncanonical = \"/z\"\n\
                wire = \"/z\"\ncodec = \"date-dmy\"\ncalendar = \"moon\"\n";
    let faults = Mapping::parse(text, ZONE).unwrap_err();
    let lines: Vec<Option<usize>> = faults.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [Some(2), Some(6), Some(9), Some(13)], "{faults:?}");
    let syntax = Mapping::parse("type = \"a.b.v1\"\n\n[[field\n", ZONE).unwrap_err();
    assert_eq!(syntax[0].0, Some(3));
}
