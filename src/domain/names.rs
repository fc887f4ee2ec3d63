//! Comparing names of people: a key under which two spellings of one name meet, and the words by which a name is searched.
//!
//! The raw text is always kept elsewhere; nothing here decides that two people are the same.

use unicode_normalization::UnicodeNormalization;

/// Letters of a key: the shortest field of any party cuts names at 40 characters, travel documents at 39.
const KEY_LENGTH: usize = 30;
/// Particles that some registers write and others leave out.
const PARTICLES: [&str; 6] = ["BIN", "BINTI", "BTE", "IBN", "BINT", "AL"];

/// The words of a name, folded: compatibility forms (NFKC), upper case, accents and Arabic vowel marks dropped, forms of
/// alef, ya and ta marbuta made one, tatweel and direction marks dropped, spellings of one common given name made one.
pub fn words(name: &str) -> Vec<String> {
    let folded: String = name.nfkd().filter_map(fold).flat_map(char::to_uppercase).collect();
    let words = folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.filter(|word| !PARTICLES.contains(word)).map(|word| common(word).to_owned()).collect()
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

fn fold(c: char) -> Option<char> {
    match c {
        '\u{0300}'..='\u{036F}' | '\u{064B}'..='\u{065F}' | '\u{0670}' | '\u{0640}' => None,
        '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\'' | '’' | '`' => None,
        'أ' | 'إ' | 'آ' | 'ٱ' => Some('ا'),
        'ى' | 'ئ' => Some('ي'),
        'ة' => Some('ه'),
        other => Some(other),
    }
}

fn common(word: &str) -> &str {
    match word {
        "M" | "MD" | "MOHD" | "MUHD" | "MUHAMAD" | "MOHAMMAD" | "MOHAMMED" | "MOHAMED" | "MUHAMMED" => "MUHAMMAD",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_share_a_key() {
        assert_eq!(key("Siti Aminah binti Mohd. Yusof"), key("SITI AMINAH MUHAMMAD YUSOF"));
        assert_eq!(key("أَحْمَد"), key("احمد"));
        assert_eq!(key("فاطمة"), key("فـاطمه"));
        assert_ne!(key("SITI"), key("SITA"));
    }

    #[test]
    fn a_cut_name_still_compares() {
        let whole = "MARIA MAGDALENA RATNASARI KUSUMAWARDHANI PUTRI";
        assert_eq!(key(whole), key(&whole[..40]));
    }

    #[test]
    fn skeletons_bear_vowels_and_doubled_letters() {
        assert_eq!(skeleton("RATNASARI"), skeleton("RATTNASARY"));
        assert_ne!(skeleton("DEWI"), skeleton("RINI"));
    }
}
