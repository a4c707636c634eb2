//! The attribute `#[tool]` turns a function and its doc comment into a tool's definition. `tool-provider` re-exports it and documents it.
//!
//! Must not know WIT: the generated code uses only traits of `tool-provider`.

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::{ToTokens, quote};
use syn::{
    Attribute, Error, Expr, ExprLit, FnArg, ItemFn, Lit, LitInt, LitStr, Meta, Result, ReturnType, Type,
    parse_macro_input,
};

const KNOWN: &str = "known are: title = \"...\", secret = \"...\", cache_ms = 60_000, read_only, additive, idempotent, closed_world, always_asks";

/// The settings in `#[tool(...)]`.
#[derive(Default)]
struct Settings {
    title: Option<LitStr>,
    secrets: Vec<LitStr>,
    cache_ms: Option<LitInt>,
    read_only: bool,
    idempotent: bool,
    closed_world: bool,
    additive: bool,
    always_asks: bool,
}

/// See `tool_provider::tool`.
#[proc_macro_attribute]
pub fn tool(settings: TokenStream, item: TokenStream) -> TokenStream {
    let mut read = Settings::default();
    let parser = syn::meta::parser(|meta| read.read(&meta));
    parse_macro_input!(settings with parser);
    let function = parse_macro_input!(item as ItemFn);
    expand(&read, &function).unwrap_or_else(Error::into_compile_error).into()
}

impl Settings {
    fn read(&mut self, meta: &syn::meta::ParseNestedMeta<'_>) -> Result<()> {
        let flags = [
            ("read_only", &mut self.read_only),
            ("idempotent", &mut self.idempotent),
            ("closed_world", &mut self.closed_world),
            ("additive", &mut self.additive),
            ("always_asks", &mut self.always_asks),
        ];
        for (name, flag) in flags {
            if meta.path.is_ident(name) {
                *flag = true;
                return Ok(());
            }
        }
        if meta.path.is_ident("title") {
            self.title = Some(meta.value()?.parse()?);
        } else if meta.path.is_ident("secret") {
            self.secrets.push(meta.value()?.parse()?);
        } else if meta.path.is_ident("cache_ms") {
            self.cache_ms = Some(meta.value()?.parse()?);
        } else {
            return Err(meta.error(KNOWN));
        }
        Ok(())
    }
}

fn expand(settings: &Settings, function: &ItemFn) -> Result<Tokens> {
    let (name, visibility) = (&function.sig.ident, &function.vis);
    if function.sig.asyncness.is_none() {
        return Err(Error::new_spanned(&function.sig, "a tool is an `async fn`"));
    }
    let description = doc(&function.attrs);
    if description.is_empty() {
        return Err(Error::new_spanned(
            &function.sig,
            "say in a doc comment what the tool does and when to use it: the model reads it",
        ));
    }
    let mut types = function.sig.inputs.iter().map(|input| match input {
        FnArg::Typed(typed) => Ok(&*typed.ty),
        FnArg::Receiver(receiver) => Err(Error::new_spanned(receiver, "a tool is a free function")),
    });
    let arguments = types.next().transpose()?.ok_or_else(|| {
        Error::new_spanned(
            &function.sig,
            "a tool takes its arguments as one struct, and may take `&Context` and `&Progress` after it",
        )
    })?;
    let more = types.map(|ty| passed(ty?)).collect::<Result<Vec<_>>>()?;
    let ReturnType::Type(_, answer) = &function.sig.output else {
        return Err(Error::new_spanned(&function.sig, "a tool returns `Result<_, Failure>`"));
    };
    let title = option(settings.title.as_ref());
    let cache_ms = option(settings.cache_ms.as_ref());
    let Settings { secrets, read_only, idempotent, closed_world, additive, always_asks, .. } = settings;
    let text = name.to_string();
    Ok(quote! {
        #function

        #[allow(non_camel_case_types, missing_docs, unreachable_pub)]
        #[doc(hidden)]
        #visibility struct #name {}

        impl ::tool_provider::Tool for #name {
            const NAME: &'static str = #text;

            fn definition() -> ::tool_provider::Definition {
                ::tool_provider::Definition {
                    name: #text,
                    title: #title,
                    description: #description,
                    input_schema: ::tool_provider::schema::<#arguments>(),
                    output_schema: <#answer as ::tool_provider::IntoAnswer>::schema(),
                    secrets: &[#(#secrets),*],
                    cache_ms: #cache_ms,
                    read_only: #read_only,
                    destructive: !#read_only && !#additive,
                    idempotent: #read_only || #idempotent,
                    open_world: !#closed_world,
                    always_asks: #always_asks,
                }
            }

            #[allow(unused_variables)]
            async fn call(
                arguments: &str,
                context: &::tool_provider::Context,
                progress: &::tool_provider::Progress,
            ) -> ::core::result::Result<::tool_provider::Answer, ::tool_provider::Failure> {
                let arguments = ::tool_provider::arguments(arguments)?;
                ::tool_provider::IntoAnswer::into_answer(#name(arguments #(, #more)*).await)
            }
        }
    })
}

/// What a parameter behind the arguments gets, by its type.
fn passed(ty: &Type) -> Result<Tokens> {
    let name = match ty {
        Type::Reference(reference) => match &*reference.elem {
            Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
            _ => None,
        },
        _ => None,
    };
    match name.as_deref() {
        Some("Context") => Ok(quote!(context)),
        Some("Progress") => Ok(quote!(progress)),
        _ => Err(Error::new_spanned(ty, "behind its arguments, a tool may take `&Context` and `&Progress`")),
    }
}

fn option(literal: Option<&impl ToTokens>) -> Tokens {
    literal
        .map_or_else(|| quote!(::core::option::Option::None), |literal| quote!(::core::option::Option::Some(#literal)))
}

/// The text of a doc comment. As in Markdown, a continued line is joined to the one before, and lists stay lists.
fn doc(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    });
    let mut text = String::new();
    for line in lines {
        match line.as_str() {
            "" => text.push_str("\n\n"),
            line => {
                if !text.is_empty() && !text.ends_with('\n') {
                    text.push(if line.starts_with(['-', '*', '|']) { '\n' } else { ' ' });
                }
                text.push_str(line);
            }
        }
    }
    text.trim().to_owned()
}
