//! `kernel-stats`: what macula's kernels become on AMD GPUs that are not there.

#![cfg_attr(not(test), warn(unused_crate_dependencies))]

mod bars;
mod environment;
mod isa;
mod measure;
mod report;
mod spirv;
mod vulkan;

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use macula::plan::{KERNELS, Variant};

use measure::{Shader, measure};
use vulkan::{Compiler, OpenError};

/// Registers, memory and instructions of macula's kernels on AMD GPUs that are not there, from Mesa's compiler
#[derive(Parser)]
#[command(max_term_width = 110, after_help = FAMILIES)]
struct Args {
    /// The GPU family to compile for
    #[arg(long, default_value = "navi21")]
    family: String,
    /// Only these kernels, by name
    #[arg(long, value_name = "NAME")]
    kernel: Vec<String>,
    /// Only variants with all of these words, such as "f32 ROLLED=0"; those without such an override stay
    #[arg(long, value_name = "WORDS", default_value = "", hide_default_value = true)]
    variant: String,
    /// Only variants without an epilogue, and not those in place
    #[arg(long)]
    plain: bool,
    /// A shader that is no kernel yet: these files, one after the other, instead of the kernels
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["kernel", "variant", "plain"])]
    wgsl: Vec<PathBuf>,
    /// The overrides of the shader in --wgsl
    #[arg(long = "override", value_name = "NAME=VALUE", value_parser = parse_override, requires = "wgsl")]
    overrides: Vec<(String, f64)>,
    /// Print the disassembly, hot loops marked, instead of the table; of the variants with all of these words, as --variant
    #[arg(long, value_name = "WORDS", num_args = 0..=1, default_missing_value = "")]
    isa: Option<String>,
    /// Print JSON instead of the table: every statistic, and what the hot loops are made of
    #[arg(long)]
    json: bool,
    /// Print the table in Markdown
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// End with exit code 1 where a variant breaks a bar, of those that software devices alone do not run
    #[arg(long)]
    check: bool,
}

const FAMILIES: &str = "\
Families are those of the installed Mesa, here of 22.3; later versions call gfx1100 navi31, and have more:
  GFX8   polaris10, polaris11, polaris12, vegam, tonga, fiji
  GFX9   vega10, vega12, vega20, raven, renoir
  RDNA   navi10, navi12, navi14
  RDNA2  navi21, navi22, navi23, vangogh
  RDNA3  gfx1100
Bars: no register spilled, at most 16 KiB of workgroup memory, and in the hot loops of register tiles of reals 80 % of the vector
instructions multiply and add.";

fn parse_override(text: &str) -> Result<(String, f64), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.parse().map_err(|e| format!("{value}: {e}"))?))
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = if environment::is_ready() {
        run(&args)
    } else {
        let code = |status: std::process::ExitStatus| status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(2);
        environment::run_again(&args.family).map(|status| ExitCode::from(code(status)))
    };
    done.unwrap_or_else(|message| {
        eprintln!("error: {message}");
        ExitCode::from(2)
    })
}

/// Measures and prints, in a process that may load Vulkan.
fn run(args: &Args) -> Result<ExitCode, String> {
    let shaders = shaders(args)?;
    let compiler = Compiler::open().map_err(|error| match error {
        OpenError::Loader(_) | OpenError::NoNullDevice(_) | OpenError::Vulkan(_) => format!("{error}\n{}", environment::ADVICE),
        OpenError::Silent => error.to_string(),
    })?;
    let rows = measure(&compiler, &shaders);
    match print(args, &compiler, &rows) {
        // Whoever read our output has gone, as `head` does.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(format!("cannot write the output: {error}")),
        _ => {}
    }
    let broken = args.check && report::breaking(&rows) > 0;
    Ok(if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(args: &Args, compiler: &Compiler, rows: &[measure::Row]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if args.json {
        return writeln!(out, "{:#}", report::json(&args.family, &compiler.name, rows));
    }
    if let Some(words) = &args.isa {
        return rows.iter().filter(|row| has_words(&row.name, words)).try_for_each(|row| writeln!(out, "{}", report::assembly(row)));
    }
    writeln!(out, "{}", compiler.name)?;
    writeln!(out, "{}", report::table(rows, args.markdown))?;
    writeln!(out, "{}", report::summary(rows))
}

/// What the arguments ask for; at least one.
fn shaders(args: &Args) -> Result<Vec<Shader>, String> {
    if !args.wgsl.is_empty() {
        return Ok(vec![file_shader(args)?]);
    }
    if let Some(unknown) = args.kernel.iter().find(|name| !KERNELS.iter().any(|kernel| kernel.name == **name)) {
        return Err(format!("no kernel `{unknown}`; there are {}", KERNELS.iter().map(|k| k.name).collect::<Vec<_>>().join(", ")));
    }
    let kernels = KERNELS.iter().filter(|kernel| args.kernel.is_empty() || args.kernel.iter().any(|name| name == kernel.name));
    let plain = |variant: &Variant| variant.epilogue.iter().all(|value| *value == 0) && !variant.in_place;
    let checked = |variant: &Variant| !args.check || !bars::is_for_software(variant);
    let mut named = HashSet::new();
    // Where a kernel has an epilogue, the one that does nothing is there twice.
    let variants =
        kernels.flat_map(|kernel| kernel.variants()).filter(|v| (!args.plain || plain(v)) && checked(v) && named.insert(v.clone()));
    let isa = args.isa.as_deref().unwrap_or_default();
    check_words(&args.variant).and_then(|()| check_words(isa))?;
    let shaders: Vec<Shader> =
        variants.map(|v| Shader::from(&v)).filter(|s| has_words(&s.name, &args.variant) && has_words(&s.name, isa)).collect();
    if shaders.is_empty() { Err("no variant has all of these words".into()) } else { Ok(shaders) }
}

fn file_shader(args: &Args) -> Result<Shader, String> {
    let read = |path: &PathBuf| std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()));
    let source = args.wgsl.iter().map(read).collect::<Result<String, _>>()?;
    let name = args.wgsl.last().and_then(|path| path.file_stem()).unwrap_or_default().to_string_lossy().into_owned();
    let (f16, i64) = (source.contains("enable f16"), source.contains("i64"));
    // A type header of reals has it, and a tile header the other.
    let main_tile = source.contains("alias Accumulator") && bars::sizes_a_tile(&source);
    Ok(Shader { name, source, constants: args.overrides.clone(), f16, i64, main_tile })
}

/// Whether a variant's name has all words of a text. A word NAME=VALUE says nothing of variants without NAME.
fn has_words(name: &str, words: &str) -> bool {
    let parts = || name.split_whitespace();
    let silent =
        |word: &str| word.split_once('=').is_some_and(|(o, _)| !parts().any(|part| part.split_once('=').is_some_and(|(p, _)| p == o)));
    words.split_whitespace().all(|word| silent(word) || parts().any(|part| part == word))
}

/// That each NAME=VALUE in `words` is of an override that there is.
fn check_words(words: &str) -> Result<(), String> {
    let known = |name: &str| KERNELS.iter().any(|kernel| kernel.override_names().contains(&name));
    let mut names = words.split_whitespace().filter_map(|word| word.split_once('=')).map(|(name, _)| name);
    names.find(|name| !known(name)).map_or(Ok(()), |name| Err(format!("no kernel has an override `{name}`")))
}

#[cfg(test)]
mod tests {
    use macula::plan::Subgroups;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Args::command().debug_assert();
        assert!(Args::try_parse_from(["kernel-stats", "--override", "A=1"]).is_err(), "overrides are those of --wgsl");
        assert!(Args::try_parse_from(["kernel-stats", "--wgsl", "a.wgsl", "--override", "A"]).is_err());
        let args = Args::try_parse_from(["kernel-stats", "--wgsl", "a.wgsl", "b.wgsl", "--override", "A=1.5"]).unwrap();
        assert_eq!((args.wgsl.len(), args.overrides), (2, vec![("A".to_owned(), 1.5)]));
    }

    #[test]
    fn variants_are_chosen_by_whole_words() {
        assert!(has_words("matmul f32 rows_8_vectors_2 HAS_C=1", "f32 HAS_C=1"));
        assert!(has_words("matmul f32", ""));
        assert!(!has_words("matmul f32 WORKGROUP_SIZE=64", "WORKGROUP_SIZE=6"));
        assert!(has_words("max_pool f32 WORKGROUP_SIZE=64", "f32 HAS_C=1"), "it has no such override");
        assert!(!has_words("max_pool f32 WORKGROUP_SIZE=64", "f16 HAS_C=1"));
        assert!(check_words("f32 HAS_BIAS=1 AFTER=1").is_ok());
        assert!(check_words("f32 HAS_BIASES=1").is_err_and(|e| e.contains("HAS_BIASES")));
    }

    #[test]
    fn an_unknown_kernel_is_named_with_those_there_are() {
        let args = Args::try_parse_from(["kernel-stats", "--kernel", "conv3d"]).unwrap();
        let message = shaders(&args).err().unwrap();
        assert!(message.contains("`conv3d`") && message.contains("conv2d_pointwise"), "{message}");
        let args = Args::try_parse_from(["kernel-stats", "--kernel", "matmul", "--variant", "f32"]).unwrap();
        assert!(shaders(&args).unwrap().iter().all(|s| s.name.starts_with("matmul f32")));
    }

    #[test]
    fn every_variant_is_there_once() {
        let names = |arguments: &[&str]| {
            let args = Args::try_parse_from(["kernel-stats"].iter().chain(arguments)).unwrap();
            let mut names: Vec<_> = shaders(&args).unwrap().into_iter().map(|s| s.name).collect();
            names.sort();
            names
        };
        let all = names(&["--kernel", "conv2d_pointwise"]);
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
        let plain = names(&["--kernel", "conv2d_pointwise", "--plain"]);
        assert!(plain.iter().all(|name| all.contains(name) && !name.contains("AFTER") && !name.contains("in place")));
        assert!(!plain.is_empty() && plain.len() < all.len());
    }

    #[test]
    fn what_software_devices_alone_run_is_not_checked() {
        let names = |arguments: &[&str]| -> Vec<String> {
            let args = Args::try_parse_from(["kernel-stats", "--plain"].iter().chain(arguments)).unwrap();
            shaders(&args).unwrap().into_iter().map(|s| s.name).collect()
        };
        let of_software = |name: &String| {
            let kernel = KERNELS.iter().find(|kernel| name.split(' ').next() == Some(kernel.name)).unwrap();
            matches!(kernel.subgroups, Subgroups::Exactly(_))
                || name.split(' ').any(|part| ["ROLLED=1", "WORKGROUP_SIZE=8"].contains(&part))
        };
        let (all, checked) = (names(&[]), names(&["--check"]));
        assert!(all.iter().any(of_software) && !checked.iter().any(of_software));
        assert_eq!(checked.len(), all.iter().filter(|name| !of_software(name)).count());
    }
}
