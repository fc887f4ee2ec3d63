//! The packs of every party against the examples of the catalogue, and everything that a pack can get wrong.

use super::*;
use crate::{message::event::Attributes, partner::Party, words};
use proptest::prelude::*;
use serde_json::json;
use std::{fs, path::PathBuf};
use time::macros::{date, datetime, offset};

const NOW: OffsetDateTime = datetime!(2027-01-01 02:15 +8);

fn packs(code: &str) -> RulePacks {
    RulePacks::load(&Path::new("partners").join(code), offset!(+8)).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

fn json_of(file: impl AsRef<Path>) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

/// `data` with values set by pointer, as in `("/contract/wage/amount", json!("1500"))`.
fn set(mut data: Value, with: &[(&str, Value)]) -> Value {
    for (pointer, value) in with {
        let mut here = &mut data;
        for name in pointer.split('/').skip(1) {
            here = &mut here[name];
        }
        *here = value.clone();
    }
    data
}

fn example(type_name: &str, with: &[(&str, Value)]) -> Value {
    set(json_of(format!("schemas/examples/valid/{type_name}.json"))["data"].take(), with)
}

fn contract(with: &[(&str, Value)]) -> Value {
    example("contract.submitted.v1", with)
}

/// Level, pointer, rule, limit and author of each breach.
fn broken(code: &str, type_name: &str, data: &Value) -> Vec<(Level, String, String, String, String)> {
    let of = |(level, fault): (Level, Fault)| {
        let param = |name| fault.params.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let (expected, by) = (param("expected").unwrap_or_default(), param("stated_by").unwrap_or_default());
        (level, fault.pointer.clone(), fault.rule.clone(), expected, by)
    };
    packs(code).judge(type_name, data, NOW).into_iter().map(of).collect()
}

fn words_of(code: &str, data: &Value) -> Vec<(Level, String)> {
    broken(code, "contract.submitted.v1", data).into_iter().map(|(level, _, rule, ..)| (level, rule)).collect()
}

/// A contract that keeps every rule of the second partner.
fn other_contract(with: &[(&str, Value)]) -> Value {
    set(json_of("partners/sa/contract/contract.json")["canonical"]["data"].take(), with)
}

#[test]
fn packs_name_only_fields_and_types_of_the_schemas_and_words_with_sentences() {
    let schemas = Schemas::load("schemas".as_ref()).unwrap();
    for code in ["id", "my", "sa"] {
        let packs = packs(code);
        assert_eq!(packs.strangers(&schemas).iter().map(ToString::to_string).collect::<Vec<_>>(), [] as [String; 0]);
        for rule in packs.all().flat_map(|pack| &pack.rules) {
            assert_eq!(words::all(&format!("rule.{}", rule.word), &[]).len(), 4, "{}", rule.word);
        }
        if code != "id" {
            assert!(packs.packs.values().any(|versions| versions.len() >= 2), "{code} has one version only");
        }
    }
    for word in ["rule-quota", "rule-pack-missing", "rule-limit"] {
        assert_eq!(words::all(&format!("rule.{word}"), &[]).len(), 4);
    }
}

#[test]
fn what_the_catalogue_and_the_contracts_show_as_applied_breaks_nothing() {
    let mut judged = 0;
    let mut clean = |code: &str, event: &Value| {
        let type_name = event["type"].as_str().unwrap();
        let at = Attributes::of(event).map_or(NOW, |attributes| attributes.time);
        for party in ["id", code] {
            assert_eq!(packs(party).judge(type_name, &event["data"], at), [], "{party} {type_name}");
        }
        judged += 1;
    };
    for file in fs::read_dir("schemas/examples/valid").unwrap() {
        clean("my", &json_of(file.unwrap().path()));
    }
    for code in ["id", "my", "sa"] {
        for file in fs::read_dir(format!("partners/{code}/contract")).unwrap() {
            let interaction = json_of(file.unwrap().path());
            let mut event =
                [&interaction["canonical"], &interaction["event"]].into_iter().find(|v| v.is_object()).cloned();
            // Variables in templates stand for values that the demo gives; the birth date is the one that a rule reads.
            if let Some(birth) = event.as_mut().and_then(|event| event.pointer_mut("/data/worker/birthDate/value")) {
                *birth = interaction["variables"].get("birth").cloned().unwrap_or_else(|| json!("1996-02-29"));
            }
            event.iter().for_each(|event| clean(if code == "id" { "my" } else { code }, event));
        }
    }
    assert!(judged > 40, "{judged}");
}

#[test]
fn a_contract_keeps_the_floor_under_which_it_was_signed() {
    let signed =
        |day: &str, wage: &str| contract(&[("/contract/signedOn", json!(day)), ("/contract/wage/amount", json!(wage))]);
    assert_eq!(words_of("my", &signed("2025-01-31", "1500.00")), []);
    assert_eq!(words_of("my", &signed("2025-01-31", "1499.99")), [(Level::Firm, "rule-wage-floor".into())]);
    assert_eq!(words_of("my", &signed("2025-02-01", "1500.00")), [(Level::Firm, "rule-wage-floor".into())]);
    assert_eq!(words_of("my", &signed("2025-02-01", "1700")), []);
    // Registered again years later, it is still the contract that was signed.
    let renewed = example(
        "contract.registered.v1",
        &[("/contract/signedOn", json!("2024-06-01")), ("/contract/wage/amount", json!("1500.00"))],
    );
    assert_eq!(packs("my").judge("contract.registered.v1", &renewed, datetime!(2027-06-01 00:00 UTC)), []);
    let mut unsigned = renewed.clone();
    unsigned["contract"].as_object_mut().unwrap().remove("signedOn");
    let floors = |at| packs("my").judge("contract.registered.v1", &unsigned, at).len();
    assert_eq!((floors(datetime!(2025-01-31 15:59 UTC)), floors(datetime!(2025-01-31 16:00 UTC))), (0, 1));
}

#[test]
fn a_breach_cites_pack_version_source_and_limit_and_never_the_value() {
    let data = contract(&[("/contract/wage/amount", json!("1234.56"))]);
    let faults = packs("my").judge("contract.submitted.v1", &data, NOW);
    let [(Level::Firm, fault)] = faults.as_slice() else { panic!("{faults:?}") };
    assert_eq!(fault.pointer, "/data/contract/wage/amount");
    let text = fault.to_json().to_string();
    for part in ["≥ 1700.00 MYR/MONTH", "household 2025-1", "P-LAB", "Minimum Wages Order 2024"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains("1234"), "{text}");
    for lang in ["id", "en", "ms", "ar"] {
        let sentence = fault.to_json()["message"][lang].as_str().unwrap().to_owned();
        assert!(sentence.contains("1700.00") && !sentence.contains('{'), "{sentence}");
    }
}

#[test]
fn a_wage_in_another_currency_or_period_keeps_no_floor() {
    let paid = |amount: &str, currency: &str, period: &str| {
        words_of(
            "my",
            &contract(&[("/contract/wage", json!({"amount": amount, "currency": currency, "period": period}))]),
        )
    };
    let breach = [(Level::Firm, "rule-wage-floor".to_owned())];
    assert_eq!(paid("999999999", "IDR", "MONTH"), breach);
    assert_eq!(paid("1700.00", "MYR", "WEEK"), breach);
    assert_eq!(paid("8.16", "MYR", "HOUR"), breach);
    assert_eq!(paid("8.17", "MYR", "HOUR"), []);
}

#[test]
fn two_authorities_may_state_different_limits_and_a_breach_says_whose() {
    let paid = |amount: &str| {
        let data = other_contract(&[("/contract/wage/amount", json!(amount))]);
        let found = broken("sa", "contract.submitted.v1", &data).into_iter();
        found.map(|(.., expected, by)| (expected, by)).collect::<Vec<_>>()
    };
    let (home, theirs) =
        (("≥ 1500.00 SAR/MONTH".into(), "KP2MI".into()), ("≥ 1000.00 SAR/MONTH".into(), "P-LAB".into()));
    assert_eq!(paid("1500"), []);
    assert_eq!(paid("1200"), [home]);
    assert_eq!(paid("999.99")[1], theirs);
    // A limit on hours of which one holds a contract and the other only flags it.
    let hours = |n| words_of("my", &contract(&[("/contract/hoursPerDay", json!(n))]));
    assert_eq!(hours(10), []);
    assert_eq!(hours(11), [(Level::Soft, "rule-hours".into())]);
    assert_eq!(hours(13), [(Level::Firm, "rule-hours".into()), (Level::Soft, "rule-hours".into())]);
}

#[test]
fn hours_before_and_after_the_regulation() {
    let hours = |signed: &str, n: f64| {
        words_of("sa", &other_contract(&[("/contract/signedOn", json!(signed)), ("/contract/hoursPerDay", json!(n))]))
    };
    assert_eq!(hours("2024-09-30", 15.0), []);
    assert_eq!(hours("2024-10-01", 10.0), []);
    assert_eq!(hours("2024-10-01", 10.5), [(Level::Firm, "rule-hours".into())]);
    let rest = other_contract(&[("/contract/restDaysPerWeek", json!(0))]);
    assert_eq!(words_of("sa", &rest), [(Level::Firm, "rule-rest-day".into())]);
}

#[test]
fn ages_count_on_the_first_day_of_work_and_doubt_is_flagged() {
    let born = |value: &str| {
        let worker = json!({"name": {"full": "DEWI"}, "birthDate": {"value": value, "precision": "DAY"}, "sex": "F", "nationality": "IDN"});
        words_of("my", &contract(&[("/worker", worker)]))
    };
    let (firm, soft) = ([(Level::Firm, "rule-age".to_owned())], [(Level::Soft, "rule-age".to_owned())]);
    assert_eq!(born("2006-01-01"), []);
    assert_eq!(born("2006-01-02"), firm);
    assert_eq!(born("1981-01-02"), []);
    assert_eq!(born("1981-01-01"), firm);
    assert_eq!(born("2006"), soft);
    assert_eq!(born("2006-01"), soft);
    assert_eq!(born("2007"), firm);
    assert_eq!(born("1996-02-30"), firm);
    // A company's worker may be older.
    let worker = json!({"birthDate": {"value": "1970-01-01"}});
    assert_eq!(words_of("my", &contract(&[("/worker", worker), ("/employer/kind", json!("COMPANY"))])), []);
    // Before there is a contract, the age on the day of the message counts.
    let nominated = |value: &str| {
        let data = example("placement.nominated.v1", &[("/worker/birthDate/value", json!(value))]);
        broken("my", "placement.nominated.v1", &data).len() + broken("id", "placement.nominated.v1", &data).len()
    };
    assert_eq!((nominated("2006-01-01"), nominated("2006-01-02"), nominated("2010-01-01")), (0, 1, 2));
}

#[test]
fn a_term_is_counted_in_the_calendar_of_the_contract() {
    let until = |ends: &str, calendar: Option<&str>| {
        let mut with = vec![("/contract/endsOn", json!(ends))];
        with.extend(calendar.map(|name| ("/contract/calendar", json!(name))));
        words_of("sa", &other_contract(&with)).len()
    };
    assert_eq!((until("2028-12-31", None), until("2028-12-31", Some("GREGORIAN"))), (0, 0));
    // Two Umm al-Qura years from 1448-07-23 end on 1450-07-22 or 23.
    assert_eq!((until("2028-12-31", Some("HIJRI")), until("2028-12-10", None)), (1, 1));
    assert_eq!((until("2028-12-09", Some("HIJRI")), until("2028-12-08", Some("HIJRI"))), (0, 1));
}

#[test]
fn households_and_jobs_are_judged_where_they_are_stated() {
    let household = |income: &str, currency: &str, size: u32| {
        let household = json!({"monthlyIncome": {"amount": income, "currency": currency}, "size": size});
        let data = example("joborder.submitted.v1", &[("/employer/household", household)]);
        let found = broken("my", "joborder.submitted.v1", &data).into_iter();
        found.map(|(_, pointer, rule, ..)| (pointer, rule)).collect::<Vec<_>>()
    };
    assert_eq!(household("7000", "MYR", 6), []);
    let (income, size) = ("/data/employer/household/monthlyIncome/amount", "/data/employer/household/size");
    assert_eq!(
        household("6999.99", "MYR", 7),
        [(income.into(), "rule-income".into()), (size.into(), "rule-household".into())]
    );
    assert_eq!(household("9000", "USD", 1), [(income.into(), "rule-income".into())]);
    assert_eq!(words_of("my", &contract(&[("/job/isco", json!("8322"))])), [(Level::Firm, "rule-job".into())]);
    assert_eq!(words_of("sa", &other_contract(&[("/job/isco", json!("8322"))])), []);
}

#[test]
fn a_licence_must_hold_on_the_day_and_a_suspended_employer_is_known_by_reference_only() {
    let nominated = |licence: &str, at| {
        let agency = json!({"licence": licence, "name": "PT"});
        packs("id")
            .judge("placement.nominated.v1", &example("placement.nominated.v1", &[("/agency", agency)]), at)
            .len()
    };
    assert_eq!(
        (nominated("SIP3MI-0042", NOW), nominated("sip3mi 0042", NOW), nominated("SIP3MI-0099", NOW)),
        (0, 0, 1)
    );
    assert_eq!((nominated("SIP3MI-0013", NOW), nominated("SIP3MI-0013", datetime!(2025-12-31 10:00 UTC))), (1, 0));
    let employer = |value: &str, kind: &str| {
        words_of(
            "my",
            &contract(&[
                ("/employer/identifier", json!({"kind": kind, "value": value})),
                ("/contract/signedOn", json!("2025-06-01")),
            ]),
        )
    };
    let breach = [(Level::Firm, "rule-blacklist".to_owned())];
    assert_eq!(employer("750303-10-5003", "nric"), breach);
    assert_eq!(employer("750303105003", "nric"), breach);
    assert_eq!((employer("750303-10-5003", "ssm"), employer("680707-08-5009", "nric")), (vec![], vec![]));
    let text = fs::read_to_string("partners/my/rules/2022-05-01-suspended.toml").unwrap();
    assert!(!text.contains("750303"));
}

#[test]
fn a_day_without_a_pack_is_for_a_person() {
    let data = contract(&[("/contract/signedOn", json!("2019-05-01"))]);
    let found = broken("my", "contract.submitted.v1", &data);
    assert_eq!(
        found,
        [(
            Level::Firm,
            "/data/contract/signedOn".into(),
            "rule-pack-missing".into(),
            "2022-05-01".into(),
            "P-LAB".into()
        )]
    );
    // Types of which no pack speaks are nobody's business here.
    let departed = example("movement.departed.v1", &[]);
    assert_eq!(packs("my").judge("movement.departed.v1", &departed, datetime!(2001-01-01 00:00 UTC)), []);
}

#[test]
fn quotas_say_what_they_count() {
    let packs = packs("my");
    let quota = packs.quotas().next().unwrap();
    let data = contract(&[]);
    assert!(quota.counts(&data, date!(2027 - 12 - 31)) && !quota.counts(&data, date!(2028 - 01 - 01)));
    assert!(!quota.counts(&contract(&[("/place/region", json!("MY-13"))]), date!(2027 - 12 - 31)));
    assert_eq!(quota.asks().next(), Some(("/place/region", &["MY-14".to_owned(), "MY-16".to_owned()][..])));
    let fault = quota.fault("/data/place/region");
    assert!(fault.to_json()["message"]["en"].as_str().unwrap().contains("10000 (household workers"), "{fault:?}");
}

/// The faults of packs that exist only here.
fn faults(files: &[(&str, &str)]) -> Vec<String> {
    let files: Vec<(PathBuf, String)> =
        files.iter().map(|(name, text)| (Path::new("rules").join(name), (*text).to_owned())).collect();
    let faults = file::read_all("partners/my".as_ref(), &files).map(|_| Vec::new()).unwrap_or_else(|faults| faults);
    faults.iter().map(ToString::to_string).collect()
}

const HEAD: &str = "[pack]\nname = \"a\"\nversion = \"1\"\nvalid_from = \"2027-01-01\"\nstated_by = \"X\"\n\
                    source = \"none\"\nbasis = \"decided\"\n";

#[test]
fn all_faults_of_a_pack_come_at_once_each_with_its_line() {
    let pack = format!(
        "{HEAD}extra = 1\n\
         [[rule]]\nrule = \"rule-nothing\"\npointer = \"contract\"\nmust = {{ at-least = 1 }}\napplies = []\n\
         [[rule]]\nrule = \"rule-age\"\npointer = \"/a\"\nmust = {{ at-least = 1.5 }}\napplies = [\"t\"]\n\
         [[rule]]\nrule = \"rule-age\"\npointer = \"/a\"\nmust = {{ larger = 1 }}\napplies = [\"t\"]\n\
         [[rule]]\nrule = \"rule-age\"\npointer = \"/a\"\nmust = {{ age-between = {{ min = 5, max = 4 }} }}\napplies = [\"t\"]\n\
         [[rule]]\nrule = \"rule-age\"\npointer = \"/a\"\nlevel = \"HARDER\"\nmust = {{ at-most = 1 }}\napplies = [\"t\"]\n\
         [[rule]]\nrule = \"rule-licence\"\npointer = \"/a\"\nmust = {{ listed = {{ list = \"none\" }} }}\napplies = [\"t\"]\n\
         when = [{{ pointer = \"/b\" }}]\n\
         [[list]]\nname = \"l\"\nentry = [{{ reference = \"00\" }}]\n\
         [[list]]\nname = \"k\"\nkey_file = \"rules/none.key\"\n\
         [[quota]]\nname = \"q\"\nfrom = \"2027-02-01\"\nto = \"2027-01-01\"\ncount = 1\n\
         [[rules]]\n"
    );
    let found = faults(&[("2027-01-01-a.toml", &pack)]);
    let lines: Vec<&str> = found.iter().filter_map(|fault| fault.strip_prefix("rules/2027-01-01-a.toml: ")).collect();
    for wanted in [
        "line 8: unknown field `extra`",
        "line 9: there is no sentence for rule-nothing",
        "line 9: applies names no message type",
        "line 9: contract is no pointer: it must begin with /",
        "line 17: a limit is a whole number or a decimal as text",
        "line 22: unknown variant `larger`",
        "line 24: the least is greater than the greatest",
        "line 32: unknown variant `HARDER`",
        "line 35: there is no list none",
        "line 35: the condition on /b says neither is nor is_not",
        "line 41: list l: an entry has a value and no reference",
        "line 44: list k: none.key: ",
        "line 47: quota q ends before it begins",
        "line 52: rules is unknown here",
    ] {
        assert!(lines.iter().any(|line| line.starts_with(wanted)), "{wanted} is not in {lines:#?}");
    }
    assert_eq!(lines.len(), 14, "{lines:#?}");
}

#[test]
fn the_rule_that_the_readme_shows_is_one() {
    let readme = fs::read_to_string("partners/README.md").unwrap();
    let (_, rest) = readme.split_once("    [[rule]]\n").unwrap();
    let rule: String =
        rest.lines().take_while(|line| line.starts_with("    ")).map(|line| format!("{}\n", line.trim())).collect();
    assert_eq!(faults(&[("2027-01-01-a.toml", &format!("{HEAD}[[rule]]\n{rule}"))]), [] as [String; 0]);
}

#[test]
fn packs_of_one_name_follow_each_other_without_overlap_or_gap() {
    let pack = |from: &str, version: &str, more: &str| {
        HEAD.replace("2027-01-01", from).replace("\"1\"", &format!("\"{version}\"")) + more
    };
    let one = pack("2027-01-01", "1", "valid_to = \"2027-06-30\"\n");
    let fits = pack("2027-07-01", "2", "");
    assert_eq!(faults(&[("2027-01-01-a.toml", &one), ("2027-07-01-a.toml", &fits)]), [] as [String; 0]);
    let gap = pack("2027-07-02", "1", "dated_by = \"/contract/signedOn\"\n");
    assert_eq!(
        faults(&[("2027-01-01-a.toml", &one), ("2027-07-02-a.toml", &gap)]),
        [
            "rules/2027-07-02-a.toml: two packs a have the version 1",
            "rules/2027-07-02-a.toml: packs a are chosen by different days (dated_by)",
            "rules/2027-07-02-a.toml: leaves days between 2027-06-30 and its beginning without a pack",
        ]
    );
    let over = pack("2027-06-30", "2", "");
    assert_eq!(
        faults(&[("2027-01-01-a.toml", &one), ("2027-06-30-a.toml", &over)]),
        ["rules/2027-06-30-a.toml: begins before 1 has ended"]
    );
    assert_eq!(
        faults(&[("2027-01-01-b.toml", &pack("2027-01-01", "1", "valid_to = \"2026-01-01\"\n"))]),
        [
            "rules/2027-01-01-b.toml: line 1: the file must be called 2027-01-01-a.toml, by the pack's first day and name",
            "rules/2027-01-01-b.toml: line 1: the pack ends before it begins",
        ]
    );
    assert!(faults(&[("x.toml", "[pack\nname = 1\n[[rule]\n")]).len() >= 2);
}

#[test]
fn a_party_loads_with_its_packs_and_calendar_or_says_all_that_is_wrong() {
    for code in ["id", "my", "sa"] {
        assert!(crate::partner::faults(&Path::new("partners").join(code)).is_empty());
    }
    let party = Party::load("partners/my".as_ref()).unwrap();
    assert!(party.rules.quotas().next().is_some() && party.calendar.zone(None) == party.zone);
    // A folder that is not there lacks three files; it has no packs, which is no fault.
    let files: Vec<String> = crate::partner::faults("partners/none".as_ref()).into_iter().map(|f| f.file).collect();
    for name in ["party.toml", "release.toml", "calendar/week.toml"] {
        assert!(files.contains(&format!("partners/none/{name}")), "{files:?}");
    }
    assert_eq!(RulePacks::faults("partners/none".as_ref()).len(), 0);
}

proptest! {
    #[test]
    fn no_message_makes_a_pack_panic(text in "\\PC{0,12}", number in any::<f64>(), pick in 0usize..4, place in 0usize..40) {
        let schemas = ["my", "sa", "id"].map(packs);
        let value = [json!(text), json!(number), json!([text]), json!({"value": number})][pick].clone();
        for type_name in ["contract.submitted.v1", "placement.nominated.v1", "joborder.submitted.v1"] {
            let pointers: Vec<String> = schemas.iter().flat_map(RulePacks::all).flat_map(|pack| &pack.rules)
                .flat_map(|rule| rule.pointers().map(str::to_owned).collect::<Vec<_>>()).collect();
            let pointer = &pointers[place % pointers.len()];
            let data = set(json!({}), &[(pointer.as_str(), value.clone())]);
            for packs in &schemas {
                packs.judge(type_name, &data, NOW);
                packs.judge(type_name, &value, NOW);
            }
        }
    }

    #[test]
    fn a_higher_wage_never_breaks_a_floor_that_a_lower_one_keeps(low in 0u32..400_000, more in 0u32..400_000, signed in 0i32..2000) {
        let day = Date::from_julian_day(2_459_701 + signed).unwrap();
        let kept = |cents: u32| {
            let amount = format!("{}.{:02}", cents / 100, cents % 100);
            words_of("my", &contract(&[("/contract/wage/amount", json!(amount)), ("/contract/signedOn", json!(day.to_string()))])).is_empty()
        };
        prop_assert!(!kept(low) || kept(low + more));
        let floor = if day < date!(2025 - 02 - 01) { 150_000 } else { 170_000 };
        prop_assert_eq!(kept(low), low >= floor);
    }
}
