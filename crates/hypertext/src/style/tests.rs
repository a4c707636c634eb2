//! What counts as hidden, declaration by declaration.

use super::*;

#[test]
fn what_hides_an_element_is_seen_however_it_is_written() {
    for style in [
        "display:none",
        "DISPLAY : None !important",
        "display:none!important;display:block",
        "color:red;;display:none;",
        "display:none;display:nothing-known",
        "dis/* */play:none",
        "d\\69splay:none",
        "\\44 isplay:none",
        "background:url('a;b');display:none",
        "background:url(data:image/png;base64,x);display:none",
        "font-family:'x\n;display:none",
        "opacity:0",
        "opacity: .01",
        "filter:opacity(0%)",
        "filter:alpha(opacity=0)",
        "content-visibility:hidden",
        "max-height:0;overflow:hidden",
        "height:0px;overflow-y:hidden",
        "width:1px;height:1px;overflow:hidden",
        "position:absolute;left:-9999px",
        "position:fixed;top:-100vh",
        "text-indent:-99em",
        "margin-left:-5000px",
        "clip:rect(0,0,0,0)",
        "clip: rect(1px 1px 1px 1px)",
        "clip-path:inset(100%)",
        "clip-path:circle(0)",
        "transform:scale(0)",
        "transform:rotate(1deg) translateX(-9999px)",
    ] {
        assert!(Style::read(style).is_gone, "{style}");
    }
    for style in [
        "",
        ";:;",
        "display",
        "display:none;display:block",
        "xdisplay:none",
        "font-family:'display:none;'",
        "font-family:'display:none",
        "content:\"a;display:none\"",
        "background:url(x;display:none)",
        "/* display:none */",
        "opacity:0.5",
        "opacity:nothing",
        "height:0",
        "overflow:hidden;height:100px",
        "left:-10px",
        "clip:auto",
        "clip:rect(0,100px,100px,0)",
        "clip-path:inset(5%)",
        "transform:scale(1)",
        "transform:translate(-50%, -50%)",
    ] {
        assert!(!Style::read(style).is_gone, "{style}");
    }
}

#[test]
fn what_others_may_take_back_is_told_apart() {
    assert_eq!(Style::read("visibility:HIDDEN").is_invisible, Some(true));
    assert_eq!(Style::read("visibility:hidden;visibility:visible").is_invisible, Some(false));
    for tiny in
        ["font-size:0", "font-size:0px!important", "font-size: 1px", "font-size:.01em", "font:0/0 a", "font-size:0%"]
    {
        assert_eq!(Style::read(tiny).size, Some(Size::Tiny), "{tiny}");
    }
    assert_eq!(Style::read("font:italic 700 13px/1.5 Arial").size, Some(Size::Readable));
    assert_eq!(Style::read("font-size:90%").size, Some(Size::Relative));
    assert_eq!(Style::read("font-size:var(--x)").size, None);
    assert_eq!(Style::read("color:#fff").colour, Some(Ink::Plain(Colour::WHITE)));
    assert_eq!(Style::read("color:white;-webkit-text-fill-color:black").colour, Some(Ink::Plain(Colour::BLACK)));
    assert_eq!(Style::read("color:transparent;-webkit-background-clip:text").colour, Some(Ink::Other));
    assert_eq!(Style::read("background: #fff none repeat").background, Some(Ink::Plain(Colour::WHITE)));
    assert_eq!(Style::read("background: rgb(0, 0, 0)").background, Some(Ink::Plain(Colour::BLACK)));
    assert_eq!(Style::read("background:#fff url(a.png)").background, Some(Ink::Other));
    assert_eq!(Style::read("background:linear-gradient(#000, #111)").background, Some(Ink::Other));
    assert_eq!(Style::read("background-color:inherit").background, None);
}
