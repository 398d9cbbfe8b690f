use super::*;

#[path = "../../../trace/tests/common/example.rs"]
mod example;

const PLAIN: Style = Style { color: false, width: 100 };

#[test]
fn a_slow_softmax_for_people() {
    insta::assert_snapshot!(render(&example::report(), PLAIN));
}

#[test]
fn the_same_in_colour_and_narrower() {
    let style = Style { color: true, width: 80 };
    let text = render(&example::report(), style).replace('\x1b', "␛");
    insta::assert_snapshot!(text);
}

#[test]
fn a_wrong_answer_shows_where() {
    insta::assert_snapshot!(render(&example::incorrect(), PLAIN));
}

#[test]
fn colour_changes_nothing_but_colour() {
    let colour = render(&example::report(), Style { color: true, width: 100 });
    let mut plain = String::new();
    let mut escape = false;
    for character in colour.chars() {
        match (escape, character) {
            (false, '\x1b') => escape = true,
            (true, 'm') => escape = false,
            (true, _) => {}
            (false, _) => plain.push(character),
        }
    }
    assert_eq!(plain, render(&example::report(), PLAIN));
}

#[test]
fn lines_stay_within_the_width() {
    for width in [100, 140] {
        let text = render(&example::report(), Style { color: false, width });
        let longest = text.lines().max_by_key(|line| line.chars().count()).unwrap_or_default();
        assert!(longest.chars().count() <= width, "{width}: {longest}");
    }
}

#[test]
fn what_a_candidate_says_cannot_drive_the_terminal() {
    let mut report = example::report();
    report.verdict_detail = "\x1b[2J\x07gone".to_owned();
    report.regions[0].time.name = "\x1b]0;title".to_owned();
    report.notes = vec!["a\u{9b}31m".to_owned()];
    let text = render(&report, PLAIN);
    assert!(!text.chars().any(|character| character.is_control() && character != '\n'), "{text:?}");
}
