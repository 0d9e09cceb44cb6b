//! How people are found by name: as it is written, in pinyin, by the initials of it, from any word or character on. The
//! store keeps the [`keys`] of every name in a sorted table: each way of finding somebody is then one range of it, whatever
//! the size of the organisation.
//!
//! ```text
//!  张伟明  ->  张伟明 伟明 明   zhangweiming weiming ming   zwm wm m
//!  Ana de Souza  ->  anadesouza desouza souza   ads ds s
//! ```
//!
//! Characters with several readings (曾: ceng, zeng) are found by each.

use pinyin::ToPinyinMulti as _;

/// Longest key, and longest question, in bytes. Nobody types more of a name.
pub const MAX_KEY_BYTES: usize = 48;
/// Words or characters of a name from which it is found. Names that people have are shorter.
const MAX_STARTS: usize = 8;
/// Readings of one character: the first are the usual ones.
const MAX_READINGS: usize = 3;
/// Ways to read what follows a start: three characters with two readings each.
const MAX_WAYS: usize = 8;

/// What a name is found by. No two are the same.
#[must_use]
pub fn keys(name: &str) -> Vec<String> {
    let tokens = tokens(name);
    let mut keys = Vec::new();
    for start in 0..tokens.len().min(MAX_STARTS) {
        let rest = tokens.get(start..).unwrap_or_default();
        keys.push(cut(rest.iter().map(|token| token.text.as_str()).collect()));
        let ways = ways(rest);
        keys.extend(ways.iter().map(|way| cut(way.concat())));
        keys.extend(ways.iter().map(|way| cut(way.iter().filter_map(|word| word.chars().next()).collect())));
    }
    keys.retain(|key| !key.is_empty());
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// What names are sorted by: as they are said, so that 安 and Ana stand together. Equal ones by what is written.
#[must_use]
pub fn sort_key(name: &str) -> String {
    let tokens = tokens(name);
    let said = tokens.iter().map(|token| token.readings.first().unwrap_or(&token.text).as_str()).collect();
    cut(said)
}

/// The beginning of a key that somebody means who types this. Empty: nobody is meant.
#[must_use]
pub fn question(typed: &str) -> String {
    cut(typed.chars().flat_map(folded).collect())
}

/// One word of letters, or one character with readings.
struct Token {
    text: String,
    readings: Vec<String>,
}

fn tokens(name: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut word = String::new();
    for c in name.chars() {
        let readings = readings(c);
        if readings.is_empty() && is_part(c) {
            word.extend(folded(c));
            continue;
        }
        push_word(&mut tokens, &mut word);
        if !readings.is_empty() {
            tokens.push(Token { text: folded(c).collect(), readings });
        }
    }
    push_word(&mut tokens, &mut word);
    tokens
}

fn push_word(tokens: &mut Vec<Token>, word: &mut String) {
    if !word.is_empty() {
        tokens.push(Token { text: std::mem::take(word), readings: Vec::new() });
    }
}

fn readings(c: char) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let multi = if is_part(c) { c.to_pinyin_multi() } else { None };
    for reading in multi.into_iter().flatten() {
        let plain: String = reading.plain().chars().flat_map(folded).collect();
        if found.len() < MAX_READINGS && !found.contains(&plain) {
            found.push(plain);
        }
    }
    found
}

/// Ways to say the tokens, the usual one first.
fn ways(tokens: &[Token]) -> Vec<Vec<&str>> {
    let mut ways = vec![Vec::new()];
    for token in tokens {
        let said: Vec<&str> = match token.readings.as_slice() {
            [] => vec![token.text.as_str()],
            readings => readings.iter().map(String::as_str).collect(),
        };
        // Once there are enough, the usual reading goes on.
        let said =
            if ways.len().saturating_mul(said.len()) > MAX_WAYS { said.get(..1).unwrap_or_default() } else { &said };
        ways = said.iter().flat_map(|word| ways.iter().map(|way| [way.as_slice(), &[*word]].concat())).collect();
    }
    ways
}

/// What separates words is left out of keys: hyphens, dots, apostrophes, spaces.
fn is_part(c: char) -> bool {
    c.is_alphanumeric()
}

/// Letters as they are compared: small, and `v` for the vowel that keyboards lack.
fn folded(c: char) -> impl Iterator<Item = char> {
    let part = is_part(c).then_some(c);
    part.into_iter().flat_map(char::to_lowercase).map(|c| if c == 'ü' { 'v' } else { c })
}

fn cut(mut key: String) -> String {
    while key.len() > MAX_KEY_BYTES {
        key.pop();
    }
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn finds(name: &str, typed: &str) -> bool {
        let question = question(typed);
        !question.is_empty() && keys(name).iter().any(|key| key.starts_with(&question))
    }

    #[test]
    fn names_are_found_as_people_type_them() {
        let rows = [
            (
                "张伟明",
                &["张", "张伟明", "伟明", "明", "zhang", "ZhangWei", "zhang wei ming", "weim", "zwm", "ZW", "wm"][..],
                &["zm", "hang", "章", "张明"][..],
            ),
            ("曾小贤", &["zeng", "ceng", "zxx", "cxx", "xiaoxian"], &["xx x x"]),
            ("单田芳", &["shan", "dan", "stf"], &["tan"]),
            ("吕布", &["lv", "lü", "LÜbu", "lb"], &["lu"]),
            ("Ana de Souza", &["ana", "de souza", "SOUZA", "ads", "ds", "anad"], &["nad", "asz"]),
            ("Jean-Luc O'Neil", &["jeanluc", "luc", "jean-luc", "neil", "jlon"], &["ean"]),
            ("Émile", &["é", "émile"], &["mile"]),
            ("李Lee 2号", &["li", "lee", "2号", "lilee2hao", "ll2h"], &["ee"]),
        ];
        for (name, found, not) in rows {
            for typed in found {
                assert!(finds(name, typed), "{name} by {typed}: {:?}", keys(name));
            }
            for typed in not {
                assert!(!finds(name, typed), "{name} by {typed}: {:?}", keys(name));
            }
        }
        assert!(!finds("Ana", "") && !finds("Ana", " -'"));
    }

    #[test]
    fn names_stand_as_they_are_said() {
        let mut names = ["周杰", "Bo", "安娜", "Ana", "陈一", "蔡二", "Zoe"];
        names.sort_by_key(|name| sort_key(name));
        assert_eq!(names, ["Ana", "安娜", "Bo", "蔡二", "陈一", "周杰", "Zoe"]);
    }

    proptest! {
        #[test]
        fn keys_are_bounded_and_a_name_is_found_by_itself(name in "\\PC{0,64}") {
            let keys = keys(&name);
            prop_assert!(keys.len() <= MAX_STARTS * (1 + 2 * MAX_WAYS));
            prop_assert!(keys.iter().all(|key| key.len() <= MAX_KEY_BYTES));
            let question = question(&name);
            prop_assert!(question.is_empty() || keys.iter().any(|key| key.starts_with(&question)), "{:?} {:?}", keys, question);
        }
    }
}
