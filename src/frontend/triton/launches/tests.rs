use super::*;

/// A folder as the host writes it: one kernel that reads an input and a table, adds to a sum and writes an output.
fn written(name: &str, table: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |file: &str, bytes: &[u8]| std::fs::write(folder.path().join(file), bytes).unwrap();
    write("kernel-0.ll", b"llvm ir");
    write("kernel-0.ptx", b"ptx");
    write("memory-1", table);
    write("memory-2", &[0; 4]);
    let told = format!(
        r#"{{"kernels": [{{"name": "{name}", "marked": false, "metadata": {{"num_warps": 4}}}}],
            "memory": [{{"bytes": 64, "input": 0, "output": null, "content": false, "changed": false}},
                       {{"bytes": {}, "input": null, "output": null, "content": true, "changed": false}},
                       {{"bytes": 4, "input": null, "output": null, "content": true, "changed": true}},
                       {{"bytes": 64, "input": null, "output": 0, "content": false, "changed": false}}],
            "launches": [{{"kernel": 0, "grid": [2, 1, 1], "threads": 128, "shared": 0, "arguments":
                [{{"memory": 0, "offset": 0}}, {{"memory": 1, "offset": 4}}, {{"memory": 2, "offset": 0}},
                 {{"memory": 3, "offset": 0}}, {{"bits": 32, "value": 7}}]}}],
            "others": {{"aten.add": 1}}}}"#,
        table.len()
    );
    write(LAUNCHES, told.as_bytes());
    folder
}

#[test]
fn what_is_read_and_what_is_written_to_have_buffers_of_their_own() {
    let folder = written("k", &[1; 8]);
    let noted = [Noted::read(folder.path()).unwrap()];
    let (replay, buffers) = Replay::of(&noted, 1);
    assert_eq!((replay.inputs, replay.outputs), (3, 2));
    assert!(matches!(
        buffers[0].inputs[..],
        [(64, Before::Input(0)), (8, Before::Bytes(_)), (4, Before::Bytes(_))]
    ));
    assert_eq!(buffers[0].outputs, [(4, None), (64, Some(0))]);
    // The sum begins as it was found.
    assert_eq!(replay.calls[0].copies, [(2, 3)]);
    let places = replay.calls[0].launches[0].arguments.iter().map(|argument| match argument {
        Argument::Address { buffer, offset, known } => (*buffer, *offset, *known),
        Argument::Number { bits, value } => (*bits as usize, *value, None),
    });
    let places: Vec<_> = places.collect();
    let (input, output) = (Some(0), Some(1));
    assert_eq!(places, [(0, 0, input), (1, 4, None), (3, 0, None), (4, 0, output), (32, 7, None)]);
}

#[test]
fn workloads_share_kernels_and_others_of_one_name_get_symbols_of_their_own() {
    let folders = [written("k", &[1; 8]), written("k", &[1; 8]), written("k", &[1; 8])];
    std::fs::write(folders[2].path().join("kernel-0.ll"), "other llvm ir").unwrap();
    let noted: Vec<Noted> = folders.iter().map(|folder| Noted::read(folder.path()).unwrap()).collect();
    let (replay, _) = Replay::of(&noted, 1);
    let symbols: Vec<&str> = replay.kernels.iter().map(|kernel| kernel.symbol.as_str()).collect();
    assert_eq!(symbols, ["k", "k_2"]);
    let kernels: Vec<usize> = replay.calls.iter().map(|call| call.launches[0].kernel).collect();
    assert_eq!(kernels, [0, 0, 1]);
}

#[test]
fn an_output_is_written_to_even_if_it_held_the_same_before() {
    let folder = written("k", &[1; 8]);
    let path = folder.path().join(LAUNCHES);
    let text = std::fs::read_to_string(&path).unwrap();
    let kept = r#""output": 0, "content": false, "changed": false"#;
    std::fs::write(path, text.replace(kept, r#""output": 0, "content": true, "changed": false"#)).unwrap();
    std::fs::write(folder.path().join("memory-3"), [9; 64]).unwrap();
    let noted = [Noted::read(folder.path()).unwrap()];
    let (replay, buffers) = Replay::of(&noted, 1);
    assert_eq!(buffers[0].outputs, [(4, None), (64, Some(0))]);
    assert_eq!(replay.calls[0].copies, [(2, 4), (3, 5)]);
}

#[test]
fn what_no_host_writes_is_refused() {
    let refused = |change: &dyn Fn(&Path)| {
        let folder = written("k", &[1; 8]);
        change(folder.path());
        Noted::read(folder.path()).unwrap_err().to_string()
    };
    let replaced = |from: &'static str, to: &'static str| {
        refused(&move |folder| {
            let path = folder.join(LAUNCHES);
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains(from));
            std::fs::write(path, text.replace(from, to)).unwrap();
        })
    };
    assert!(replaced(r#""kernel": 0"#, r#""kernel": 1"#).contains("do not fit"));
    assert!(replaced(r#""memory": 3"#, r#""memory": 4"#).contains("do not fit"));
    assert!(replaced(r#""offset": 4"#, r#""offset": 9"#).contains("do not fit"));
    assert!(replaced(r#""bits": 32"#, r#""bits": 31"#).contains("do not fit"));
    assert!(replaced(r#""name": "k""#, r#""name": "k()""#).contains("do not fit"));
    let linked = refused(&|folder| {
        std::fs::remove_file(folder.join("memory-1")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.join("memory-1")).unwrap();
    });
    assert!(linked.contains("memory-1"), "{linked}");
    let large = refused(&|folder| std::fs::write(folder.join("memory-1"), [0; 9]).unwrap());
    assert!(large.contains("does not hold 8 bytes"), "{large}");
    // Holes cost nobody anything, and would be memory here.
    let sparse = refused(&|folder| {
        std::fs::File::create(folder.join("kernel-0.ll")).unwrap().set_len(MOST_TEXT).unwrap();
    });
    assert!(sparse.contains("more than can be read"), "{sparse}");
}
