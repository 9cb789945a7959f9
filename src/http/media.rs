//! The types of files, by the endings of their names.

const BYTES: &str = "application/octet-stream";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// The type of a file whose name has this ending, in any case; `None` if it is unknown.
pub(super) fn of_ending(ending: &str) -> Option<&'static str> {
    Some(match ending.to_ascii_lowercase().as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" | "cjs" => JAVASCRIPT,
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "wasm" => "application/wasm",
        "txt" | "md" => TEXT,
        "xml" => "application/xml",
        "csv" => "text/csv; charset=utf-8",
        "vtt" => "text/vtt; charset=utf-8",
        // Shaders, and descriptions of sprite sheets and of bitmap fonts.
        "glsl" | "vert" | "frag" | "wgsl" | "atlas" | "fnt" => TEXT,
        // Godot, Unity, Emscripten, Basis Universal, and others.
        "data" | "pck" | "bin" | "mem" | "unityweb" | "basis" => BYTES,
        "gltf" => "model/gltf+json",
        "glb" => "model/gltf-binary",
        "obj" => "model/obj",
        "mtl" => "model/mtl",
        "stl" => "model/stl",
        "svg" => "image/svg+xml",
        "png" | "apng" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "bmp" => "image/bmp",
        "ico" => "image/x-icon",
        "ktx2" => "image/ktx2",
        "hdr" => "image/vnd.radiance",
        "ttf" => "font/ttf",
        "otf" => "font/otf",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "wav" => "audio/wav",
        "mp3" => "audio/mpeg",
        "ogg" | "oga" | "opus" => "audio/ogg",
        "m4a" => "audio/mp4",
        "aac" => "audio/aac",
        "flac" => "audio/flac",
        "mp4" | "m4v" => "video/mp4",
        "webm" => "video/webm",
        "ogv" => "video/ogg",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "gz" => "application/gzip",
        _ => return None,
    })
}

/// The type of the file at `path`.
pub(super) fn of_path(path: &str) -> &'static str {
    let ending = path.rsplit('/').next().and_then(|name| name.rsplit_once('.'));
    ending.and_then(|(_, ending)| of_ending(ending)).unwrap_or(BYTES)
}

/// Whether gzip makes files of this type much smaller. Images, sounds and the like are compressed
/// already.
pub(super) fn is_worth_gzip(content_type: &str) -> bool {
    content_type.starts_with("text/")
        || ["json", "xml", "wasm", "font/ttf", "font/otf", "model/obj"]
            .iter()
            .any(|part| content_type.contains(part))
}

/// Whether files of this type are pages.
pub(super) fn is_page(content_type: &str) -> bool {
    content_type.starts_with("text/html")
}

/// Whether files of this type are scripts, which may be workers.
pub(super) fn is_script(content_type: &str) -> bool {
    content_type == JAVASCRIPT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_engines_have_types() {
        for (path, content_type) in [
            ("/index.html", "text/html; charset=utf-8"),
            ("/a.b/INDEX.HTML", "text/html; charset=utf-8"),
            ("/three.module.mjs", JAVASCRIPT),
            ("/game.wasm", "application/wasm"),
            ("/game.pck", BYTES),
            ("/x.ktx2", "image/ktx2"),
            ("/x.m4a", "audio/mp4"),
            ("/x.xml", "application/xml"),
            ("/noending", BYTES),
            ("/folder.js/noending", BYTES),
            ("/x.unknown", BYTES),
        ] {
            assert_eq!(of_path(path), content_type, "{path}");
        }
    }

    #[test]
    fn what_is_compressed_already_is_not_compressed_again() {
        for ending in ["js", "json", "gltf", "svg", "wasm", "ttf", "xml", "css"] {
            assert!(is_worth_gzip(of_ending(ending).unwrap()), "{ending}");
        }
        for ending in ["png", "mp3", "woff2", "webm", "glb", "gz", "ico", "unityweb", "ktx2"] {
            assert!(!is_worth_gzip(of_ending(ending).unwrap()), "{ending}");
        }
    }
}
