//! The operator's settings. Only this module knows the host: it reads Spin's variables, so `search_url` is set like all other settings of the
//! installation.

mod bindings {
    #![allow(missing_docs, unsafe_code, unreachable_pub, clippy::all, clippy::pedantic, clippy::restriction)]
    tool_provider::wasip3::wit_bindgen::generate!({
        inline: "
            package edge-assistant:web;

            world settings {
                import spin:variables/variables@3.0.0;
            }

            package spin:variables@3.0.0 {
                interface variables {
                    get: async func(name: string) -> result<string, error>;
                    variant error {
                        invalid-name(string),
                        undefined(string),
                        provider(string),
                        other(string),
                    }
                }
            }
        ",
        generate_all,
        runtime_path: "::tool_provider::wasip3::wit_bindgen::rt",
    });
}

/// A variable's value; `None` if it is not declared, not given, or empty.
pub(crate) async fn get(name: &str) -> Option<String> {
    let value = bindings::spin::variables::variables::get(name.to_owned()).await.ok()?;
    let value = value.trim();
    (!value.is_empty()).then(|| value.to_owned())
}
