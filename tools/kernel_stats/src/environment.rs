//! How the device without hardware is selected: variables that the Vulkan loader and the driver read when they are loaded.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

/// Set where this process is the one that loads Vulkan.
const READY: &str = "KERNEL_STATS_READY";

/// Newer loaders read the first, older ones the second.
const DRIVERS: [&str; 2] = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"];

/// What to do where there is no such driver.
pub const ADVICE: &str = "\
Mesa's Vulkan driver for AMD GPUs, RADV, compiles for GPUs that are not there. It needs no GPU, but its packages:
    Debian, Ubuntu    apt install mesa-vulkan-drivers libvulkan1
    Fedora            dnf install mesa-vulkan-drivers vulkan-loader
    Arch              pacman -S vulkan-radeon vulkan-icd-loader
They bring radeon_icd.*.json below /usr/share/vulkan/icd.d, which this program selects by VK_DRIVER_FILES (VK_ICD_FILENAMES for old
loaders), and the family by RADV_FORCE_FAMILY. A driver that lies elsewhere: VK_DRIVER_FILES=/path/to/radeon_icd.x86_64.json";

/// Whether the variables are set, so that Vulkan may be loaded.
pub fn is_ready() -> bool {
    env::var_os(READY).is_some()
}

/// Runs this program again, with the same arguments, where RADV is the only driver and shows one device of `family`. The driver ends
/// the process where it does not know the family, which is an error here.
pub fn run_again(family: &str) -> Result<ExitStatus, String> {
    let chosen = DRIVERS.iter().find_map(env::var_os).or_else(|| {
        let files = driver_files(&folders(), env::consts::ARCH);
        (!files.is_empty()).then(|| env::join_paths(files).unwrap_or_default())
    });
    let drivers = chosen.ok_or_else(|| format!("no radeon_icd*.json in {}\n{ADVICE}", listed(&folders())))?;
    let program = env::current_exe().map_err(|e| format!("where this program lies: {e}"))?;
    let mut command = Command::new(&program);
    command.args(env::args_os().skip(1)).env(READY, "1").env("RADV_FORCE_FAMILY", family);
    for variable in DRIVERS {
        command.env(variable, &drivers);
    }
    // What was compiled before would have no statistics; and Mesa's layer that orders devices has nothing to order.
    command.env("MESA_SHADER_CACHE_DISABLE", "true").env("NODEVICE_SELECT", "1");
    let status = command.status().map_err(|e| format!("cannot run {} again: {e}", program.display()))?;
    match status.code() {
        Some(_) => Ok(status),
        None => Err(format!("the driver ended the program ({status}): `{family}` may be no family that it knows, see --help")),
    }
}

/// Where loaders look for drivers.
fn folders() -> Vec<PathBuf> {
    let list = |variable: &str, default: &str| env::var_os(variable).filter(|v| !v.is_empty()).unwrap_or_else(|| OsString::from(default));
    let data = [list("XDG_DATA_DIRS", "/usr/local/share:/usr/share"), list("XDG_CONFIG_DIRS", "/etc/xdg")];
    let mut folders: Vec<PathBuf> = data.iter().flat_map(env::split_paths).collect();
    folders.extend(["/etc", "/usr/local/etc", "/run/opengl-driver/share"].map(PathBuf::from));
    folders.iter().map(|folder| folder.join("vulkan/icd.d")).collect()
}

/// RADV's files in `folders` for this architecture, best first.
fn driver_files(folders: &[PathBuf], architecture: &str) -> Vec<PathBuf> {
    let names = [format!("radeon_icd.{architecture}.json"), "radeon_icd.json".to_owned()];
    folders.iter().flat_map(|folder| names.iter().map(|name| folder.join(name))).find(|file| file.is_file()).into_iter().collect()
}

fn listed(folders: &[PathBuf]) -> String {
    folders.iter().map(|f: &PathBuf| Path::display(f).to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_of_this_architecture_is_found() {
        let root = env::temp_dir().join(format!("kernel-stats-{}", std::process::id()));
        let (first, second) = (root.join("a/vulkan/icd.d"), root.join("b/vulkan/icd.d"));
        std::fs::create_dir_all(&first).unwrap();
        std::fs::create_dir_all(&second).unwrap();
        for file in ["radeon_icd.x86_64.json", "radeon_icd.i686.json", "lvp_icd.x86_64.json"] {
            std::fs::write(second.join(file), "{}").unwrap();
        }
        let folders = [first.clone(), second.clone()];
        assert_eq!(driver_files(&folders, "x86_64"), [second.join("radeon_icd.x86_64.json")]);
        assert!(driver_files(&folders, "aarch64").is_empty());
        assert!(driver_files(&[first], "x86_64").is_empty());
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn the_advice_names_package_file_and_variables() {
        for word in ["mesa-vulkan-drivers", "radeon_icd", "VK_DRIVER_FILES", "VK_ICD_FILENAMES", "RADV_FORCE_FAMILY"] {
            assert!(ADVICE.contains(word), "{word}");
        }
    }
}
