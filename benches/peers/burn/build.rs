//! Imports the models of PEER_NAMES below PEER_MODELS as burn's code. One that burn does not import is left out, with the reason as a warning.

use std::fmt::Write;
use std::path::Path;

use burn_onnx::ModelGen;

fn main() {
    let variable = |name| {
        println!("cargo:rerun-if-env-changed={name}");
        std::env::var(name).unwrap_or_default()
    };
    let (folder, names, out) = (variable("PEER_MODELS"), variable("PEER_NAMES"), variable("OUT_DIR"));
    let (mut modules, mut arms) = (String::new(), String::new());
    for name in names.split(',').filter(|name| !name.is_empty()) {
        let file = Path::new(&folder).join(name).join("model.onnx").to_string_lossy().into_owned();
        println!("cargo:rerun-if-changed={file}");
        let import = || ModelGen::new().input(&file).out_dir(name).run_from_script();
        if std::panic::catch_unwind(import).is_err() {
            println!("cargo:warning=burn does not import {name}");
            continue;
        }
        writeln!(modules, "#[allow(clippy::all, dead_code)]\nmod {name} {{ include!({:?}); }}", format!("{out}/{name}/model.rs")).unwrap();
        writeln!(arms, "        {name:?} => {{ let m = {name}::Model::default(); Box::new(move |x| m.forward(x)) }}").unwrap();
    }
    let network = format!(
        "{modules}\npub fn network(name: &str) -> Option<Box<dyn Fn(Tensor<4>) -> Tensor<2>>> {{\n    Some(match name {{\n{arms}        _ => return None,\n    }})\n}}\n"
    );
    std::fs::write(format!("{out}/models.rs"), network).unwrap();
}
