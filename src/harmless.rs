//! Text of a candidate's without the characters by which it could drive a terminal.

/// Stands for such a character.
const REPLACEMENT: char = '\u{fffd}';

/// A line: no control character at all.
pub fn line(text: &str) -> String {
    text.chars().map(|character| if drives(character) { REPLACEMENT } else { character }).collect()
}

/// Lines, with their ends and tabs.
pub fn text(text: &str) -> String {
    let kept = |character| matches!(character, '\n' | '\t') || !drives(character);
    text.chars().map(|character| if kept(character) { character } else { REPLACEMENT }).collect()
}

/// The text of a file, every byte where it was.
pub fn source(text: &str) -> String {
    let mut harmless = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => harmless.push(character),
            '\r' => harmless.push(' '),
            driving if drives(driving) => harmless.extend(std::iter::repeat_n('?', driving.len_utf8())),
            plain => harmless.push(plain),
        }
    }
    harmless
}

/// Lines with the colours that kinstr gave them, and nothing else.
pub fn coloured(text: &str) -> String {
    let mut harmless = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if let Some(colour) = colour(rest) {
            harmless.push_str(colour);
            rest = &rest[colour.len()..];
            continue;
        }
        let kept = matches!(character, '\n' | '\t') || !drives(character);
        harmless.push(if kept { character } else { REPLACEMENT });
        rest = &rest[character.len_utf8()..];
    }
    harmless
}

/// The sequence at the beginning of `text` that sets a colour.
fn colour(text: &str) -> Option<&str> {
    let parameters = text.strip_prefix("\x1b[")?;
    let length = parameters.find(|character: char| !character.is_ascii_digit() && character != ';')?;
    parameters[length..].starts_with('m').then(|| &text[..2 + length + 1])
}

/// Controls, and what changes the direction of writing.
fn drives(character: char) -> bool {
    character.is_control() || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drives_a_terminal_is_replaced() {
        let bad = "a\u{1b}]0;title\u{7}\u{9b}2J\u{202e}\tb\n";
        assert_eq!(line(bad), "a�]0;title��2J��b�");
        assert_eq!(text(bad), "a�]0;title��2J�\tb\n");
        assert_eq!(source("é\u{1b}\r\n").len(), "é\u{1b}\r\n".len());
    }

    #[test]
    fn colours_stay_and_other_sequences_do_not() {
        assert_eq!(coloured("\u{1b}[1;31mred\u{1b}[0m"), "\u{1b}[1;31mred\u{1b}[0m");
        assert_eq!(coloured("\u{1b}[2J\u{1b}[3"), "�[2J�[3");
    }
}
