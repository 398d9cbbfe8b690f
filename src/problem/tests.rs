use super::*;
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};
use std::fs;
use std::path::Path;

const SOFTMAX: &str = r#"name = "row-softmax"
axes = { M = "var", N = "var", H = 4 }
inputs.x = { shape = ["M", "N"], dtype = "f32", init = { kind = "normal", mean = 1, std = 2.0 } }
inputs.index = { shape = ["M"], dtype = "i64", init = { kind = "uniform", high = "N" } }
inputs.scale = { shape = [], dtype = "float32" }
outputs.y = { shape = ["M", "N"], dtype = "f32" }
reference = { file = "reference.py", function = "run" }
tolerance = "auto"

[[workloads]]
axes = { M = 4_096, N = 1024 }
[[workloads]]
name = "small"
axes = { M = 0x10, N = 8 }
"#;

fn load_text(text: &str) -> Result<Problem, ProblemError> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("reference.py"), "def run(x): return x").unwrap();
    let path = folder.path().join("problem.toml");
    fs::write(&path, text).unwrap();
    Problem::load(&path)
}

/// The flaw, its line, and the help.
fn flaw_of(text: &str) -> (Flaw, usize, String) {
    match load_text(text) {
        Err(ProblemError::Flawed(placed)) => {
            let line = placed.line();
            (placed.flaw, line, placed.help.unwrap_or_default())
        }
        other => panic!("expected a flaw, not {other:?}"),
    }
}

/// The flaw in the softmax problem after one replacement.
fn flaw_after(from: &str, to: &str) -> (Flaw, usize, String) {
    assert!(SOFTMAX.contains(from), "{from}");
    flaw_of(&SOFTMAX.replacen(from, to, 1))
}

#[test]
fn a_problem_is_read_whole() {
    let problem = load_text(SOFTMAX).unwrap();
    assert_eq!(problem.signature(), "(x: f32[M, N], index: i64[M], scale: f32[]) -> (y: f32[M, N])");
    let names: Vec<&str> = problem.workloads.iter().map(|w| w.name.as_str()).collect();
    assert_eq!(names, ["M=4096,N=1024", "small"]);
    assert_eq!(problem.workloads[1].size("H"), Some(4));
    let specs: Vec<String> =
        problem.input_specs(&problem.workloads[1]).iter().map(|s| s.to_string()).collect();
    assert_eq!(specs, ["x: f32[16, 8]", "index: i64[16]", "scale: f32[]"]);
}

#[test]
fn inputs_are_in_the_order_of_the_file_not_of_the_alphabet() {
    let problem = load_text(SOFTMAX).unwrap();
    assert_eq!(problem.inputs.iter().map(|i| i.name.as_str()).collect::<Vec<_>>(), ["x", "index", "scale"]);
}

#[test]
fn parameters_that_are_axes_follow_the_workload() {
    let problem = load_text(SOFTMAX).unwrap();
    let workload = &problem.workloads[1];
    let mut bytes = vec![0; 16 * 8];
    problem.fill_input(workload, 1, problem.seeds(workload, 1)[0], &mut bytes).unwrap();
    let indices: Vec<i64> = bytes.chunks_exact(8).map(crate::tensor::Element::read).collect();
    assert!(indices.iter().all(|i| (0..8).contains(i)), "{indices:?}");
    assert!(indices.iter().any(|i| *i != indices[0]));
}

#[test]
fn the_digest_follows_problem_and_reference() {
    let folder = tempfile::tempdir().unwrap();
    let digest = |problem: &str, reference: &str| {
        fs::write(folder.path().join("reference.py"), reference).unwrap();
        fs::write(folder.path().join("problem.toml"), problem).unwrap();
        Problem::load(&folder.path().join("problem.toml")).unwrap().digest
    };
    assert_eq!(digest(SOFTMAX, "a"), digest(SOFTMAX, "a"));
    assert_ne!(digest(SOFTMAX, "a"), digest(SOFTMAX, "b"));
    assert_ne!(digest(SOFTMAX, "a"), digest(&format!("{SOFTMAX}\n"), "a"));
}

#[test]
fn unknown_names_have_a_place_and_near_names() {
    let (flaw, line, help) = flaw_after(
        "shape = [\"M\", \"N\"], dtype = \"f32\" }\nref",
        "shape = [\"M\", \"n\"], dtype = \"f32\" }\nref",
    );
    assert_eq!((flaw, line), (Flaw::UnknownAxis("n".into()), 6));
    assert!(help.contains("`N`"), "{help}");

    let (flaw, line, help) = flaw_after("dtype = \"i64\"", "dtype = \"int\"");
    assert_eq!((flaw, line), (Flaw::UnknownDtype("int".into()), 4));
    assert!(help.contains("`i"), "{help}");

    let (flaw, _, help) = flaw_after("tolerance =", "tolerence =");
    assert_eq!(flaw, Flaw::UnknownKey { key: "tolerence".into(), within: "the problem".into() });
    assert_eq!(help, "did you mean `tolerance`?");

    let (flaw, _, help) = flaw_after("\"normal\"", "\"normol\"");
    assert_eq!((flaw, help.as_str()), (Flaw::UnknownInit("normol".into()), "did you mean `normal`?"));

    let (flaw, line, _) = flaw_after("high = \"N\"", "high = \"K\"");
    assert_eq!((flaw, line), (Flaw::UnknownAxis("K".into()), 4));
}

#[test]
fn parameters_of_another_kind_are_refused() {
    let (flaw, ..) = flaw_after("mean = 1", "value = 1");
    let within = "`init` of input `x` of kind `normal`".to_owned();
    assert_eq!(flaw, Flaw::UnknownKey { key: "value".into(), within });
    let (flaw, ..) = flaw_after("kind = \"normal\", mean = 1, std = 2.0", "kind = \"constant\"");
    assert!(matches!(flaw, Flaw::MissingKey { key, .. } if key == "value"));
}

#[test]
fn what_is_missing_is_named() {
    for (line, key) in [("name", "name"), ("outputs", "outputs"), ("reference", "reference")] {
        let text: String =
            SOFTMAX.lines().filter(|l| !l.starts_with(line)).map(|l| format!("{l}\n")).collect();
        assert!(matches!(flaw_of(&text).0, Flaw::MissingKey { key: k, .. } if k == key), "{key}");
    }
    assert!(
        matches!(flaw_after(", dtype = \"float32\"", "").0, Flaw::MissingKey { key, .. } if key == "dtype")
    );
    assert_eq!(
        flaw_after(", init = { kind = \"uniform\", high = \"N\" }", "").0,
        Flaw::MissingInit("index".into())
    );
}

#[test]
fn no_workloads() {
    let none = &SOFTMAX[..SOFTMAX.find("[[workloads]]").unwrap()];
    assert_eq!(flaw_of(none).0, Flaw::NoWorkloads);
    let (flaw, line, help) = flaw_of(&format!("{none}workloads = []\n"));
    assert_eq!((flaw, line), (Flaw::NoWorkloads, 10));
    assert!(help.contains("[[workloads]]"));
}

#[test]
fn workloads_give_every_variable_axis_and_no_other() {
    assert!(matches!(flaw_after(", N = 8", "").0, Flaw::MissingKey { key, .. } if key == "N"));
    let (flaw, line, help) = flaw_after("N = 8", "N = 8, H = 2");
    assert_eq!((flaw, line), (Flaw::UnknownAxis("H".into()), 14));
    assert!(help.contains("constant"), "{help}");
    assert!(matches!(flaw_after("N = 8", "N = -8").0, Flaw::BadValue { .. }));
    assert!(matches!(flaw_after("N = 8", "N = 8.5").0, Flaw::WrongType { .. }));
    let (flaw, ..) = flaw_after("name = \"small\"", "name = \"M=4096,N=1024\"");
    assert_eq!(flaw, Flaw::DuplicateName("M=4096,N=1024".into()));
}

#[test]
fn tensors_have_to_fit_memory_and_their_type() {
    assert!(matches!(flaw_after("N = 8", "N = 9223372036854775807").0, Flaw::BadValue { .. }));
    let (flaw, line, _) = flaw_after(
        "dtype = \"i64\", init = { kind = \"uniform\", high = \"N\" }",
        "dtype = \"i8\", init = { kind = \"arange\" }",
    );
    assert!(matches!(flaw, Flaw::BadValue { reason, .. } if reason.contains("4095")));
    assert_eq!(line, 10);
}

#[test]
fn references_have_to_be_there() {
    let (flaw, line, _) = flaw_after("reference.py", "nowhere.py");
    assert!(matches!(flaw, Flaw::MissingReference { path, .. } if path == "nowhere.py"));
    assert_eq!(line, 7);
}

#[test]
fn an_output_with_an_inputs_name_is_refused() {
    assert_eq!(flaw_after("outputs.y", "outputs.x").0, Flaw::DuplicateName("x".into()));
}

#[test]
fn tolerances() {
    let tolerance = |text: &str| load_text(&SOFTMAX.replace("\"auto\"", text)).map(|p| p.tolerance);
    let given = tolerance("{ atol = 1e-3, max_ulp = 4 }").unwrap();
    assert!(
        matches!(given, ToleranceSpec::Given(o) if o.atol == Some(1e-3) && o.max_ulp == Some(4) && o.rtol.is_none())
    );
    assert!(tolerance("{ matched_ratio = 0.9, error_cap = 1 }").is_ok());
    for bad in [
        "\"loose\"",
        "{ atol = -1 }",
        "{ matched_ratio = 0.9 }",
        "{ matched_ratio = 2 }",
        "{ atol = nan }",
        "3",
    ] {
        assert!(matches!(tolerance(bad), Err(ProblemError::Flawed(_))), "{bad}");
    }
}

#[test]
fn files_that_are_no_problems() {
    let missing = Problem::load(Path::new("nowhere/problem.toml"));
    assert!(matches!(missing, Err(ProblemError::Unreadable { .. })));
    for name in ["problem.jsonl", "problem.yaml", "problem"] {
        assert!(
            matches!(Problem::load(Path::new(name)), Err(ProblemError::UnsupportedFormat { .. })),
            "{name}"
        );
    }
    assert!(matches!(flaw_of("name = ").0, Flaw::Syntax(_)));
    assert!(matches!(flaw_of("").0, Flaw::MissingKey { .. }));
}

/// Whatever a file holds, loading it ends in a problem or an error.
#[test]
fn no_prefix_and_no_cut_line_panics() {
    for end in (0..SOFTMAX.len()).step_by(3) {
        let _ = load_text(&SOFTMAX[..end]);
    }
    let lines: Vec<&str> = SOFTMAX.lines().collect();
    for cut in 0..lines.len() {
        let rest: Vec<&str> = lines.iter().enumerate().filter(|(i, _)| *i != cut).map(|(_, l)| *l).collect();
        let _ = load_text(&rest.join("\n"));
    }
}

#[test]
fn people_see_the_place() {
    let Err(error) = load_text(&SOFTMAX.replacen("\"M\", \"N\"", "\"M\", \"batch\"", 1)) else {
        panic!("loads")
    };
    assert_eq!(error.code().map(|code| code.to_string()).as_deref(), Some("kinstr::problem::unknown_axis"));
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_width(100);
    let mut shown = String::new();
    handler.render_report(&mut shown, &error).unwrap();
    insta::with_settings!({filters => vec![(r"/[^\s]*/problem\.toml", "problem.toml")]}, {
        insta::assert_snapshot!(shown);
    });
}
