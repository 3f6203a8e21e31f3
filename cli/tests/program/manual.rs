//! Help, completions and the manual: all from one description of the command line.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::{Scratch, macula};

/// The subcommands, from `macula --help`.
fn subcommands() -> Vec<String> {
    let help = macula(["--help"]).ok().stdout;
    let list = help.split_once("Commands:\n").expect("a list").1.split_once("\n\n").expect("its end").0;
    let names: Vec<String> = list.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next().map(str::to_owned)).collect();
    let names: Vec<String> = names.into_iter().filter(|name| !name.is_empty() && name != "help").collect();
    assert!(names.len() > 10 && names.contains(&"bench".to_owned()), "{names:?}");
    names
}

#[test]
fn completions_know_every_subcommand_and_its_flags() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = macula(["completions", shell]).ok().stdout;
        let words: Vec<&str> = script.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))).collect();
        for name in subcommands() {
            assert!(words.contains(&name.as_str()), "{shell} does not know `{name}`");
        }
        for flag in ["compare", "measure-roofline", "quiet"] {
            assert!(words.iter().any(|word| word.trim_start_matches('-') == flag), "{shell} does not know --{flag}");
        }
        assert!(!words.contains(&"no-such-command"));
    }
    macula(["completions", "tcsh"]).fails(2, &["bash, elvish, fish, powershell, zsh"]);
}

#[test]
fn bash_takes_its_completions() {
    let Ok(mut bash) = Command::new("bash").arg("-s").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
        println!("SKIPPED: there is no bash");
        return;
    };
    let script = macula(["completions", "bash"]).ok().stdout;
    // What bash calls where `macula be` is followed by the tabulator.
    let ask = "COMP_WORDS=(macula be); COMP_CWORD=1; COMPREPLY=(); _macula macula be macula; echo \"${COMPREPLY[@]}\"";
    bash.stdin.take().unwrap().write_all(format!("{script}\n{ask}\n").as_bytes()).unwrap();
    let output = bash.wait_with_output().unwrap();
    assert_eq!((String::from_utf8_lossy(&output.stdout).trim(), output.status.success()), ("bench", true));
}

#[test]
fn the_manual_has_a_page_for_every_subcommand() {
    let scratch = Scratch::new();
    let folder = scratch.path("man/man1");
    macula(["man", "--out", &folder]).ok();
    let page = |name: &str| std::fs::read_to_string(format!("{folder}/{name}.1")).unwrap_or_else(|e| panic!("{name}.1: {e}"));
    let main = page("macula");
    assert_eq!(main, macula(["man"]).ok().stdout);
    for name in subcommands() {
        let page = page(&format!("macula-{name}"));
        assert!(page.contains(".SH NAME") && page.contains(&format!("macula {name}")), "{name}: {page}");
        assert!(main.contains(&format!("macula\\-{name}(1)")), "macula.1 does not name {name}");
    }
    let file = scratch.file("file", "");
    macula(["man", "--out", &file]).fails(1, &["cannot be made a directory"]);
}

#[test]
fn quiet_is_for_every_subcommand() {
    for name in subcommands() {
        let help = macula([name.as_str(), "--help"]).ok().stdout;
        assert!(help.contains("-q, --quiet"), "{name}:\n{help}");
    }
    // Before the subcommand and after it; warnings stay.
    for arguments in [["--quiet", "inspect", "--tune"], ["inspect", "--tune", "-q"]] {
        let run = macula(arguments).ok();
        assert!(run.stderr.contains("--tune does nothing") && run.stdout.contains("layers:"), "{}", run.stderr);
    }
}
