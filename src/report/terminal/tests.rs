use super::*;

use crate::report::example;

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
fn a_strided_transpose_on_a_gpu() {
    insta::assert_snapshot!(render(&example::on_gpu(), PLAIN));
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
        for report in [example::report(), example::on_gpu()] {
            let text = render(&report, Style { color: false, width });
            let longest = text.lines().max_by_key(|line| line.chars().count()).unwrap_or_default();
            assert!(longest.chars().count() <= width, "{width}: {longest}");
        }
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

/// The softmax after its passes were fused: one cause gone, one elsewhere, one new, on a machine as it was.
fn fused() -> kinstr_trace::report::Report {
    let mut report = example::report();
    report.candidate = "examples/softmax/online.mlir".to_owned();
    for workload in &mut report.workloads {
        if let Some(times) = &mut workload.times {
            let time = &mut times.candidate;
            (time.median_ns, time.low_ns, time.high_ns) =
                (time.median_ns / 1.6, time.low_ns / 1.6, time.high_ns / 1.6);
        }
    }
    // The second workload is as fast as before, as far as can be told.
    if let Some(times) = &mut report.workloads[1].times {
        times.candidate.median_ns *= 1.59;
        times.candidate.high_ns *= 1.62;
    }
    let mut appeared = report.diagnoses.remove(0);
    (appeared.code, appeared.name) = ("KI0005".to_owned(), "call-overhead".to_owned());
    report.diagnoses.push(appeared);
    if let Some(place) = &mut report.diagnoses[0].place {
        place.line += 4;
    }
    report.primary = report.diagnoses.first().map(kinstr_trace::report::PrimaryBottleneck::of);
    report.hot_lines.remove(1);
    report.hot_lines[0].instructions /= 3;
    report.regions[0].time.ns_total /= 1.6;
    report.layers.pop();
    report
}

#[test]
fn a_diff_says_what_changed() {
    let diff = crate::diff::Diff::of(&example::report(), &fused());
    insta::assert_snapshot!(render_diff(&diff, PLAIN));
}

#[test]
fn a_report_does_not_differ_from_itself() {
    let report = example::report();
    let diff = crate::diff::Diff::of(&report, &report);
    assert!(diff.diagnoses.iter().all(|change| change.fate == crate::diff::Fate::Stayed));
    assert!(diff.layers.is_empty() && diff.caveats.is_empty());
    insta::assert_snapshot!(render_diff(&diff, PLAIN));
}

#[test]
fn a_diff_names_what_makes_it_doubtful() {
    let mut after = example::incorrect();
    after.provenance.device = "another".to_owned();
    let diff = crate::diff::Diff::of(&example::report(), &after);
    insta::assert_snapshot!(render_diff(&diff, PLAIN));
}
