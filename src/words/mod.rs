//! Sentences for people, in the languages of the corridors: what a rule asks and how a problem is mended.
//!
//! The sentences stand in `sentences.toml`, keyed by problem slug or rule. This room knows neither; it never sees a value
//! that a sender gave, only the parameters of rules.

use std::{collections::BTreeMap, sync::LazyLock};

/// A language of answers (BCP 47 primary subtag).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lang {
    /// Indonesian.
    Id,
    /// English.
    En,
    /// Malay.
    Ms,
    /// Arabic.
    Ar,
}

impl Lang {
    /// All, in the order in which answers list them.
    pub const ALL: [Self; 4] = [Self::Id, Self::En, Self::Ms, Self::Ar];

    /// The BCP 47 code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::En => "en",
            Self::Ms => "ms",
            Self::Ar => "ar",
        }
    }
}

type Table = BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>>;

static SENTENCES: LazyLock<Table> = LazyLock::new(|| {
    toml::from_str(include_str!("sentences.toml")).expect("the file is part of the program and tested")
});

/// The sentence `key` (`<table>.<name>`) in one language, its parameters filled in; `None` where there is no such sentence.
pub fn sentence(lang: Lang, key: &str, params: &[(&str, &str)]) -> Option<String> {
    let (table, name) = key.split_once('.')?;
    let text = SENTENCES.get(table)?.get(name)?.get(lang.code())?;
    Some(params.iter().fold(text.clone(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value)))
}

/// The sentence in every language it has.
pub fn all(key: &str, params: &[(&str, &str)]) -> Vec<(Lang, String)> {
    Lang::ALL.into_iter().filter_map(|lang| Some((lang, sentence(lang, key, params)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sentence_stands_in_every_language_with_the_same_parameters() {
        let holes = |text: &str| {
            let mut holes: Vec<String> =
                text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0.to_owned())).collect();
            holes.sort();
            holes
        };
        for (table, names) in SENTENCES.iter() {
            for (name, texts) in names {
                let languages: Vec<&str> = texts.keys().map(String::as_str).collect();
                assert_eq!(languages, ["ar", "en", "id", "ms"], "{table}.{name}");
                let expected = holes(&texts["en"]);
                assert!(texts.values().all(|text| holes(text) == expected), "{table}.{name}");
            }
        }
    }

    #[test]
    fn parameters_are_filled_in() {
        let text = sentence(Lang::En, "rule.required", &[("field", "name")]).unwrap();
        assert_eq!(text, "The field name is required here.");
        assert_eq!(sentence(Lang::En, "rule.none", &[]), None);
    }
}
