//! Comparing names of people: a key under which two spellings of one name meet, and the words by which a name is searched.
//!
//! The raw text is always kept elsewhere; nothing here decides that two people are the same. Twins have nearly one name and
//! one birth date: [`agreement`] and [`similar`] help a person look, they never merge.

use unicode_normalization::UnicodeNormalization;

/// Letters of a key: the shortest field of any party cuts names at 40 characters, travel documents at 39.
const KEY_LENGTH: usize = 30;
/// Lengths at which fields cut a name: the name of a TD3 travel document (ICAO 9303 part 4 §4.2.2) and partners' forms.
const CUTS: [usize; 2] = [39, 40];
/// Particles that some registers write and others leave out.
const PARTICLES: [&str; 13] =
    ["BIN", "BINTI", "BINTE", "BINT", "BTE", "BTI", "BT", "IBN", "AL", "بن", "بنت", "ابن", "ال"];

/// The words of a name, folded: compatibility forms (NFKC), upper case, accents and Arabic vowel marks dropped, forms of
/// alef, ya and ta marbuta made one, tatweel and direction marks dropped, spellings of one common given name made one.
///
/// Particles are dropped, unless the name has nothing else: one word is a name.
pub fn words(name: &str) -> Vec<String> {
    let folded: String = name.nfkd().filter_map(fold).flat_map(char::to_uppercase).collect();
    let words: Vec<&str> = folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let only_particles = words.iter().all(|word| PARTICLES.contains(word));
    let kept = words.into_iter().filter(|word| only_particles || !PARTICLES.contains(word));
    kept.map(|word| common(word).to_owned()).collect()
}

/// The key under which two records of one name compare equal, also where one was cut.
pub fn key(name: &str) -> String {
    words(name).concat().chars().take(KEY_LENGTH).collect()
}

/// A word without what spellings vary in: vowels after the first letter and doubled letters.
pub fn skeleton(word: &str) -> String {
    let mut kept = String::new();
    for (n, c) in word.chars().enumerate() {
        let varies = n > 0 && matches!(c, 'A' | 'E' | 'I' | 'O' | 'U' | 'Y' | 'H' | 'ا' | 'و' | 'ي');
        let same = match c {
            'V' => 'F',
            'Z' | 'J' => 'S',
            'Q' | 'C' => 'K',
            other => other,
        };
        if !varies && !kept.ends_with(same) {
            kept.push(same);
        }
    }
    kept
}

/// The consonants that a word of [`words`] has in both scripts, in rough Latin: `SUKARNI` and `سوكارني` are both `SKRN`.
///
/// Much is thrown away (vowels, W, Y, H, ʿayn; which S, T or D it was), so that a search finds too much rather than too little.
/// Fewer than two letters (`AYU` has none) say nothing: such a word is not searched this way.
pub fn crossing(word: &str) -> String {
    let word = word.strip_prefix("ال").filter(|rest| !rest.is_empty()).unwrap_or(word);
    let word = if word.starts_with("ABD") && word.ends_with('L') { &word[..3] } else { word };
    let word = word.replace("تش", "س").replace("TS", "S").replace("DZ", "S");
    let mut kept = String::new();
    for c in word.chars() {
        let letter = match c {
            'B' | 'P' | 'ب' | 'پ' => 'B',
            'T' | 'ت' | 'ط' => 'T',
            'C' | 'J' | 'S' | 'X' | 'Z' | 'ث' | 'ج' | 'چ' | 'ذ' | 'ز' | 'س' | 'ش' | 'ص' | 'ظ' => 'S',
            'D' | 'د' | 'ض' => 'D',
            'R' | 'ر' => 'R',
            'F' | 'V' | 'ف' | 'ڤ' => 'F',
            'K' | 'Q' | 'ق' | 'ك' | 'خ' => 'K',
            'G' | 'غ' | 'گ' | 'ڠ' => 'G',
            'L' | 'ل' => 'L',
            'M' | 'م' => 'M',
            'N' | 'ن' => 'N',
            _ => continue,
        };
        if !kept.ends_with(letter) {
            kept.push(letter);
        }
    }
    kept
}

/// How two records of a name stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreement {
    /// The same words, in any order: documents put the family name first, forms last.
    Same,
    /// One ends where its field cut it.
    Cut,
    /// One has words that the other lacks: an endorsed name, a father's or a grandfather's.
    Longer,
    /// Each has a word that the other lacks, or one of them has none.
    Different,
}

/// How two records of a name in one script stand to each other; `<` parts words as a space does.
pub fn agreement(one: &str, other: &str) -> Agreement {
    let (ours, theirs) = (words(one), words(other));
    if ours.is_empty() || theirs.is_empty() {
        return Agreement::Different;
    }
    if ours.concat() == theirs.concat() {
        return Agreement::Same;
    }
    let lacks = |words: &[String], others: &[String]| -> Vec<String> {
        words.iter().filter(|word| !others.contains(word)).cloned().collect()
    };
    let (ours_only, theirs_only) = (lacks(&ours, &theirs), lacks(&theirs, &ours));
    match (ours_only.as_slice(), theirs_only.as_slice()) {
        ([], []) => Agreement::Same,
        ([], _) if is_cut(one) => Agreement::Cut,
        (_, []) if is_cut(other) => Agreement::Cut,
        ([], _) | (_, []) => Agreement::Longer,
        (stumps, rest) if is_cut(one) && are_stumps(stumps, rest) => Agreement::Cut,
        (rest, stumps) if is_cut(other) && are_stumps(stumps, rest) => Agreement::Cut,
        _ => Agreement::Different,
    }
}

/// Whether a field may have cut this text: a space or a filler at the cut is often trimmed.
fn is_cut(text: &str) -> bool {
    let length = text.trim_end_matches([' ', '<']).chars().count();
    CUTS.iter().any(|cut| (cut - 1..=*cut).contains(&length))
}

/// Whether these words are beginnings of words that their record lacks: a cut takes the end of the last one, and documents may
/// shorten several to make a long name fit.
fn are_stumps(stumps: &[String], lacking: &[String]) -> bool {
    stumps.iter().all(|stump| lacking.iter().any(|word| word.starts_with(stump.as_str())))
}

/// How near two names are, from 0 to 1: for the order of a list of candidates and nothing else.
///
/// Each word is paired with the word of the other name that is nearest (Jaro–Winkler; across scripts by [`crossing`]), and what
/// finds no partner counts half, because registers differ in how many names they keep.
pub fn similar(one: &str, other: &str) -> f64 {
    let (ours, theirs) = (words(one), words(other));
    let fewer = ours.len().min(theirs.len());
    if fewer == 0 {
        return 0.0;
    }
    let mut pairs: Vec<(f64, usize, usize)> = Vec::with_capacity(ours.len() * theirs.len());
    for (i, a) in ours.iter().enumerate() {
        pairs.extend(theirs.iter().enumerate().map(|(j, b)| (near(a, b), i, j)));
    }
    // Of equally near pairs the words decide, not their places: else the measure would depend on who is asked first.
    let text = |&(_, i, j): &(f64, usize, usize)| {
        let (a, b) = (ours[i].clone(), theirs[j].clone());
        if a <= b { (a, b) } else { (b, a) }
    };
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| text(a).cmp(&text(b))));
    let (mut taken, mut given, mut sum) = (vec![false; ours.len()], vec![false; theirs.len()], 0.0);
    for (score, i, j) in pairs {
        if !taken[i] && !given[j] {
            (taken[i], given[j]) = (true, true);
            sum += score;
        }
    }
    let alone = ours.len().max(theirs.len()) - fewer;
    sum / (fewer as f64 + alone as f64 / 2.0)
}

fn near(one: &str, other: &str) -> f64 {
    let both = |a: &str, b: &str| strsim::jaro_winkler(a, b).max(strsim::jaro_winkler(b, a));
    if one.is_ascii() == other.is_ascii() {
        return both(one, other);
    }
    let (a, b) = (crossing(one), crossing(other));
    if a.len().min(b.len()) < 2 { 0.0 } else { both(&a, &b) }
}

fn fold(c: char) -> Option<char> {
    match c {
        '\u{0300}'..='\u{036F}' | '\u{064B}'..='\u{065F}' | '\u{0670}' | '\u{0640}' => None,
        '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => None,
        '\u{061C}' | '\u{FEFF}' | '\'' | '’' | '‘' | '`' => None,
        'أ' | 'إ' | 'آ' | 'ٱ' => Some('ا'),
        'ى' | 'ئ' | 'ی' => Some('ي'),
        'ک' => Some('ك'),
        'ة' => Some('ه'),
        other => Some(other),
    }
}

fn common(word: &str) -> &str {
    match word {
        "M" | "MD" | "MHD" | "MOH" | "MOHD" | "MOCH" | "MUH" | "MUHD" => "MUHAMMAD",
        "MOHAMAD" | "MOHAMED" | "MOHAMMAD" | "MOHAMMED" | "MUHAMAD" | "MUHAMED" | "MUHAMMED" => "MUHAMMAD",
        "MOCHAMAD" | "MOCHAMMAD" | "MUCHAMAD" | "MUCHAMMAD" => "MUHAMMAD",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The longest that a wire field of sixty characters holds.
    const LONG: &str = "MARIA MAGDALENA RATNASARI KUSUMAWARDHANI PUTRI WULANDARI SARI";

    #[test]
    fn spellings_of_one_name_share_a_key() {
        assert_eq!(key("Siti Aminah binti Mohd. Yusof"), key("SITI AMINAH MUHAMMAD YUSOF"));
        for spelling in ["M. NUR", "Mohd Nur", "MOHAMMED NUR", "Moch. Nur", "Muhamad\u{200F} Nur"] {
            assert_eq!(key(spelling), key("MUHAMMAD NUR"), "{spelling}");
        }
        assert_ne!(key("SITI"), key("SITA"));
    }

    #[test]
    fn arabic_forms_share_a_key() {
        for (one, other) in [
            ("أَحْمَد", "احمد"),
            ("إبراهيم", "ابراهيم"),
            ("آمنة", "امنه"),
            ("فاطمة", "فـاطمه"),
            ("مصطفى", "مصطفي"),
            ("\u{202B}محمد بن علي\u{202C}", "محمد علي"),
            ("\u{FEF3}\u{FEEE}\u{FEB3}\u{FED2}", "يوسف"),
        ] {
            assert_eq!(key(one), key(other), "{one} {other}");
        }
        assert_ne!(key("أحمد"), key("حامد"));
    }

    #[test]
    fn a_cut_name_still_compares() {
        assert_eq!(LONG.len(), 61);
        for cut in CUTS {
            assert_eq!(key(LONG), key(&LONG[..cut]));
            assert_eq!(agreement(LONG, &LONG[..cut]), Agreement::Cut);
            assert_eq!(agreement(&LONG[..cut], LONG), Agreement::Cut);
        }
        assert_eq!(agreement(LONG, &LONG[..38]), Agreement::Cut, "a blank at the cut was trimmed");
        assert_eq!(agreement(LONG, &LONG[..30]), Agreement::Different, "nothing cuts here");
    }

    #[test]
    fn one_word_is_a_name_also_when_it_is_a_particle() {
        assert_eq!(words("SUKARNI"), ["SUKARNI"]);
        assert_eq!(words("Al"), ["AL"]);
        assert_eq!(agreement("SUKARNI", "SUKARNI"), Agreement::Same);
        assert_eq!(agreement("SUKARNI<<<<<<<<<<", "Sukarni"), Agreement::Same);
        // Systems that want two names repeat the one.
        assert_eq!(agreement("SUKARNI SUKARNI", "SUKARNI"), Agreement::Same);
        assert_eq!(agreement("SUKARNI", "SUKARNO"), Agreement::Different);
        assert_eq!(agreement("-", "-"), Agreement::Different);
    }

    #[test]
    fn endorsed_and_fathers_names_stand_in_one_record_only() {
        assert_eq!(agreement("SUKARNI", "SUKARNI KASIM AHMAD"), Agreement::Longer);
        assert_eq!(agreement("سوكارني", "سوكارني أحمد بن علي"), Agreement::Longer);
        assert_eq!(agreement("SITI AMINAH", "SITI BINTI KASIM"), Agreement::Different);
    }

    #[test]
    fn a_family_name_may_come_first() {
        assert_eq!(agreement("RATNASARI<<DEWI<AYU<<<<<", "DEWI AYU RATNASARI"), Agreement::Same);
        assert_eq!(agreement("ABDULRAHMAN", "ABDUL RAHMAN"), Agreement::Same);
    }

    #[test]
    fn skeletons_bear_vowels_and_doubled_letters() {
        assert_eq!(skeleton("RATNASARI"), skeleton("RATTNASARY"));
        assert_ne!(skeleton("DEWI"), skeleton("RINI"));
    }

    #[test]
    fn the_two_scripts_meet() {
        for (latin, arabic) in [
            ("SUKARNI", "سوكارني"),
            ("AHMAD", "أحمد"),
            ("FATIMAH", "فاطمة"),
            ("YUSUF", "يوسف"),
            ("MUHAMMAD", "محمد"),
            ("Zulkifli", "ذوالكفل"),
            ("RAHMAN", "الرحمن"),
            ("ABDUL", "عبد"),
            ("PUTRI", "بوتري"),
            ("CAHYA", "تشاهيا"),
            ("DZAKIR", "ذاكر"),
            ("NINGSIH", "نينغسيه"),
        ] {
            let (a, b) = (words(latin), words(arabic));
            let together = |words: &[String]| words.iter().map(|word| crossing(word)).collect::<String>();
            assert_eq!(together(&a), together(&b), "{latin} {arabic}");
        }
        assert_eq!(crossing("AYU"), "");
        assert_ne!(crossing("DEWI"), crossing("سوكارني"));
    }

    #[test]
    fn nearer_candidates_come_first() {
        let ranks = |name: &str, candidates: &[&str]| {
            let mut list: Vec<(f64, String)> =
                candidates.iter().map(|other| (similar(name, other), (*other).to_owned())).collect();
            list.sort_by(|a, b| b.0.total_cmp(&a.0));
            list.into_iter().map(|(_, name)| name).collect::<Vec<_>>()
        };
        let ranked = ranks("SITI AMINAH", &["DEWI LESTARI", "SITI AMINA BINTI KASIM", "AMINAH SITI", "SITI ROHANI"]);
        assert_eq!(ranked, ["AMINAH SITI", "SITI AMINA BINTI KASIM", "SITI ROHANI", "DEWI LESTARI"]);
        assert!(similar("SUKARNI AHMAD", "سوكارني أحمد") > 0.99);
        assert_eq!(similar("", "SITI"), 0.0);
    }

    proptest! {
        #[test]
        fn nearness_is_the_same_both_ways_and_never_beyond_its_bounds(
            one in "[A-Z]{1,9}( [A-Z]{1,9}){0,4}", other in "[A-Z]{1,9}( [A-Z]{1,9}){0,4}"
        ) {
            let there = similar(&one, &other);
            prop_assert!((0.0..=1.0 + 1e-9).contains(&there));
            prop_assert!((similar(&one, &one) - 1.0).abs() < 1e-9);
            prop_assert!((there - similar(&other, &one)).abs() < 1e-9);
        }

        #[test]
        fn agreement_is_the_same_both_ways(
            one in "(SITI|AMINAH|KASIM|NUR|BIN|RATNASARI)( (SITI|AMINAH|KASIM|NUR|BIN|RATNASARI)){0,6}",
            other in "(SITI|AMINAH|KASIM|NUR|BIN|RATNASARI)( (SITI|AMINAH|KASIM|NUR|BIN|RATNASARI)){0,6}"
        ) {
            prop_assert_eq!(agreement(&one, &other), agreement(&other, &one));
        }

        #[test]
        fn words_of_words_are_words(name in "\\PC{0,60}") {
            let once = words(&name);
            prop_assert_eq!(words(&once.join(" ")), once);
        }
    }
}
