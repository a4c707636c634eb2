//! The most frequent small words of each language in Latin letters, without accents. An index leaves those of a text's language out: they would be a
//! quarter of its rows and find everything. They also tell the languages apart.

use std::{collections::HashMap, sync::LazyLock};

use crate::language::{LATIN, Language};

/// Articles, pronouns, prepositions, auxiliary verbs, and the letters that elisions leave.
const fn list(language: Language) -> &'static str {
    match language {
        Language::English => {
            "a about after all also an and any are as at be because been before but by can could did do does don for from had has have he her him his how i \
             if in into is it its just me more most my no not of on one only or other our out over s she so some such t than that the their them then there \
             these they this to too up us was we were what when where which while who why will with would you your"
        }
        Language::Spanish => {
            "a al algo como con cual cuando de del desde donde el ella ellos en entre era es esta estan este esto estos fue ha hay la las le les lo los mas \
             me mi mucho muy no nos o para pero por porque que se ser si sin sobre son su sus tambien te tiene todo tu un una uno unos y ya yo"
        }
        Language::German => {
            "aber alle als also am an auch auf aus bei bin bis da damit dann das dass dem den der des die dies diese diesem diesen dieser du durch ein eine \
             einem einen einer eines er es fur hat hatte ich ihr ihre im in ist ja kann kein keine man mehr mein mich mir mit muss nach nicht noch nur ob \
             oder ohne sein seine sich sie sind so uber um und uns unter vom von vor war waren was wenn wer werden wie wir wird wo zu zum zur"
        }
        Language::French => {
            "a ai au aux avec avez avoir c ce ces cette comme d dans de des deux donc du elle elles en entre est et etait ete etre eu fait il ils j je l la \
             le les leur leurs lui m ma mais me mes moi mon n ne nos notre nous on ont ou par pas plus pour qu que qui s sa sans se ses si son sont sous sur \
             t tout tous tres tu un une vos votre vous y"
        }
        Language::Portuguese => {
            "a ao aos as ate com como da das de dele do dos e ela elas ele eles em entre era essa esse esta este eu foi ha isso ja la lhe mais mas me mesmo \
             meu minha muito na nao nas nem no nos nossa nosso num numa o os ou para pela pelo por porque quando que quem se sem ser seu seus so sua suas \
             tambem tem ter tudo um uma voce"
        }
        Language::Italian => {
            "a ad ai al alla alle anche c che chi ci come con cosa cui d da dal dalla dei del della delle di dove e ed era essere fa gli ha hanno ho i il in \
             io l la le lei lo loro lui ma mi molto nei nel nella nelle noi non o per perche piu puo quale quando quello questa questo se sei si sia sono su \
             sua sul sulla suo ti tra tu tutti tutto un una uno"
        }
        Language::Dutch => {
            "aan al als altijd ben bij daar dan dat de der deze die dit doch door dus een en er geen had heb hebben heeft het hier hij hoe hun iets ik in is \
             ja je kan kon maar me meer men met mij mijn naar niet niets nog nu of om omdat onder ons ook op over te tot uit van veel voor waren was wat we \
             wel werd wie wij wordt ze zich zij zijn zo zonder zou"
        }
        Language::Turkish => {
            "acaba ama ancak bana bazi belki ben beni benim bir biri biz bu bunu bunun cok cunku da daha de degil diye en gibi hem hep her icin ile ise kadar \
             ki kim mi mu nasil ne neden nerede niye o olan olarak oldu olur ona onlar onu onun sadece sen sey siz su tum var ve veya ya yok"
        }
        Language::Swedish => {
            "alla allt att av bara blev bli da de deg dem den denna det detta dig din du efter eller en er ett fran for fore ha han har hade henne hon honom \
             hur i in inte jag kan man med mer mig min mot mycket nar nagon nagot ni nu och om oss pa sa sag ska skulle sig sin som till under upp ut vad var \
             vara vi vid vill ar an"
        }
        Language::Danish => {
            "af alle alt at bare blev blive da de dem den denne der deres det dette dig din dog du efter eller en end er et for fra ham han har havde hende \
             her hos hun hvad hvis hvor hvordan i ikke ind jeg jer kan kunne man mange med meget men mere mig min mod nar nogle noget nu og ogsa om op os over \
             pa selv sig skal skulle som til ud under var ved vi vil ville vaere vaeret"
        }
        Language::Norwegian => {
            "alle alt at av bare ble bli blir da de deg dem den denne der dere det dette din du eller en er et etter for fordi fra ga ha hadde han har hun \
             hva hvis hvor hvordan hvorfor i ikke inn jeg kan kunne man med meg mellom men mer min mot mye na nar noe noen og ogsa om opp oss over pa seg \
             selv sin skal skulle som til ut var ved vi vil ville vaere vaert"
        }
        Language::Finnish => {
            "ei eivat emme en enemman etta han hanen ja jo joka jonka jos jota joten kaikki kanssa koska kuin kun kuka me meidan mika milloin minun mina \
             missa mita mutta myos ne niin niita nyt oli olivat olla ole olen on ovat se sen siella siina sina sita tai tama tassa tata te vain vaikka"
        }
        Language::Romanian => {
            "a acest aceasta aceste al ale am ar are as au ca cand care ce cel cea cu cum da daca dar de decat din dintre dupa ea ei el ele era este eu fi fie \
             foarte fost iar in intr intre isi la le lor lui mai mea mi mult ne nici noi nu o pe pentru prin sa sale sau se si sunt tot toate un una unde \
             unei unui va voi"
        }
        Language::Hungarian => {
            "a abban ahhoz ahogy ahol aki akkor alatt amely ami amit az azt azon azonban be csak de e egy egyik el en es ez ezt fel ha hanem hogy hogyan ide \
             igen is itt jol kell ki le lehet lesz lett ma maga mar meg mert mi miert mint mit most nagy nagyon ne nekem nem nincs o ok olyan ott pedig s sem \
             szinte te tehat ugy ugyan utan vagy vagyok valaki van volt"
        }
    }
}

/// A bit for each language, in the order of [`LATIN`].
static LANGUAGES: LazyLock<HashMap<&str, u16>> = LazyLock::new(|| {
    let mut languages = HashMap::new();
    for (place, language) in LATIN.iter().enumerate() {
        for word in list(*language).split_ascii_whitespace() {
            *languages.entry(word).or_insert(0) |= 1 << place;
        }
    }
    languages
});

/// Whether a word without accents is one of the small ones of any language.
pub(crate) fn is_small(word: &str) -> bool {
    LANGUAGES.contains_key(word)
}

/// Whether a word without accents is one of the small ones of a language.
pub(crate) fn contains(word: &str, language: Language) -> bool {
    LATIN
        .iter()
        .position(|other| *other == language)
        .is_some_and(|place| LANGUAGES.get(word).is_some_and(|languages| languages >> place & 1 == 1))
}
