//! Imports the models below PEER_MODELS, `NAME/model.onnx`, as burn's code. One that burn does not import is left out, with a warning.

use std::fmt::Write;
use std::path::Path;

use burn_onnx::ModelGen;

fn main() {
    println!("cargo:rerun-if-env-changed=PEER_MODELS");
    let (folder, out) = (std::env::var("PEER_MODELS"), std::env::var("OUT_DIR").unwrap());
    let mut names = Vec::new();
    if let Ok(folder) = &folder {
        println!("cargo:rerun-if-changed={folder}");
        names.extend(std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()));
    }
    names.sort();
    let (mut modules, mut arms) = (String::new(), String::new());
    for name in names {
        let file = Path::new(folder.as_ref().unwrap()).join(&name).join("model.onnx").to_string_lossy().into_owned();
        let import = || ModelGen::new().input(&file).out_dir(&name).run_from_script();
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
