/* Templates of line_format and label_format: what they render to, what they fail with, and which are refused.
 * Expectations are what Go's text/template gives with Loki's functions. Local time is UTC. */
#include "query/tmpl_json.h"
#include "query/tmpl_run.h"
#include "base/mem.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define FAILS "\001" /* in front of an error */

struct render {
	const char *tmpl, *text;
};

/* The entry that all templates see. */
static const char entry_line[] = "{\"k\":\"v\",\"arr\":[10,20]} raw line";
static const int64_t entry_ts = 1768478394045305774;
#define PAIR(name, value)                                                                                    \
	{                                                                                                    \
		{ name, sizeof(name) - 1 },                                                                  \
		{                                                                                            \
			value, sizeof(value) - 1                                                             \
		}                                                                                            \
	}
static const struct label entry_labels[] = {
	PAIR("a", "Hello"),
	PAIR("bad", "a\377b"),
	PAIR("e", ""),
	PAIR("f", "2.7"),
	PAIR("ml", "l1\nl2\nl3"),
	PAIR("n", "42"),
	PAIR("neg", "-3.9"),
	PAIR("q", "{\"b\":1,\"a\":[1,2.5,\"z\"],\"n\":null,\"t\":true,\"o\":{\"x\":\"y\"},\"e\":[]}"),
	PAIR("sp", "  pad\t "),
	PAIR("ts", "1700000000123"),
	PAIR("u", "café x"),
};

/* Actions, variables, blocks. */
static const struct render structure[] = {
	{ "{{.a}}-{{.nope}}-", "Hello--" },
	{ "{{/* c */}}x{{- \" y \" -}} z", "x y z" },
	{ "a {{- /* c */ -}} b", "ab" },
	{ "{{-3}} {{- 3}} {{3 -}} x", "-33 3x" },
	{ "{{if and (contains \"H\" .a) (gt (int .n) 40)}}yes{{end}}", "yes" },
	{ "{{if .nope}}1{{else if .a}}2{{else}}3{{end}}", "2" },
	{ "{{if .e}}1{{else}}0{{end}}{{if 0}}1{{else}}0{{end}}{{if fromJson \"[]\"}}1{{else}}0{{end}}{{if "
	  "true}}1{{else}}0{{end}}",
	  "0001" },
	{ "{{with .nope}}x{{else with .a}}{{.}}{{end}}", "Hello" },
	{ "{{with $x := .a}}{{$x}}{{.}}{{$.n}}{{end}}", "HelloHello42" },
	{ "{{$x := 1}}{{$x = 2}}{{$x}}", "2" },
	{ "{{$x := .}}{{$x.a}} {{$x.nope}}|", "Hello |" },
	{ "{{define \"T\"}}<{{.}}>{{end}}{{template \"T\" .a}}", "<Hello>" },
	{ "{{block \"B\" .a}}({{.}}){{end}}", "(Hello)" },
	{ "{{template \"T\"}}{{define \"T\"}}[{{.}}]{{end}}", "[<no value>]" },
	{ "{{define \"T\"}} {{end}}{{define \"T\"}}b{{end}}{{template \"T\"}}", "b" },
	{ "{{define \"T\"}}{{template \"U\" .}}{{end}}{{define \"U\"}}{{.}}{{end}}{{template \"T\" 5}}",
	  "5" },
	{ "{{define \"line\"}}b{{end}}", "b" },
	{ "{{range $i := 2}}{{$i}}{{end}}", "01" },
	{ "{{range 3}}{{.}}{{end}}{{range -1}}x{{else}}none{{end}}", "012none" },
	{ "{{range $k,$v := fromJson \"{\\\"b\\\":1,\\\"a\\\":[1,2.5,\\\"z\\\"]}\"}}{{$k}}={{$v}} {{end}}",
	  "a=[1 2.5 z] b=1 " },
	{ "{{range $k, $v := .}}{{if hasPrefix \"n\" $k}}{{$k}}={{$v}},{{end}}{{end}}", "n=42,neg=-3.9," },
	{ "{{range $i, $e := fromJson \"[10,20,30]\"}}{{if eq $i 1}}{{continue}}{{end}}{{$i}}={{$e}};{{end}}",
	  "0=10;2=30;" },
	{ "{{range $i, $e := fromJson \"[10,20,30]\"}}{{if eq $i 1}}{{break}}{{end}}{{$i}}={{$e}};{{end}}",
	  "0=10;" },
	{ "{{range 2}}{{range 2}}{{break}}{{end}}x{{end}}", "xx" },
	{ "{{$i := 0}}{{$e := 0}}{{range $i, $e = fromJson \"[5,6]\"}}{{$i}}{{$e}}{{end}}|{{$i}}{{$e}}",
	  "0516|16" },
	{ "{{.a | trunc 2 | repeat 2}}", "HeHe" },
	{ "{{.a | }}", "Hello" },
	{ "{{(fromJson .q).o.x}}", "y" },
	{ "{{index . \"a\"}} {{index . \"nope\"}}|", "Hello |" },
	{ "{{len .}}", "11" },
	{ "{{range .a}}{{end}}",
	  FAILS "template: line:1:8: executing \"line\" at <.a>: range can't iterate over Hello" },
	{ "{{range 5.5}}{{end}}",
	  FAILS "template: line:1:8: executing \"line\" at <5.5>: range can't iterate over 5.5" },
	{ "{{range $i,$v := 3}}{{end}}", FAILS "template: line:1:17: executing \"line\" at <3>: can't use 3 "
					       "to iterate over more than one variable" },
	{ "{{.a.b}}",
	  FAILS "template: line:1:4: executing \"line\" at <.a.b>: can't evaluate field b in type string" },
	{ "{{$.a.b}}",
	  FAILS "template: line:1:3: executing \"line\" at <$.a.b>: can't evaluate field b in type string" },
	{ "{{(fromJson .q).n.b}}",
	  FAILS "template: line:1:12: executing \"line\" at <.q>: nil pointer evaluating interface {}.b" },
	{ "{{(fromJson .q).b.c}}", FAILS
	  "template: line:1:12: executing \"line\" at <.q>: can't evaluate field c in type interface {}" },
	{ "{{.a .n}}",
	  FAILS "template: line:1:2: executing \"line\" at <.a>: a is not a method but has arguments" },
	{ "{{.a | .n}}",
	  FAILS "template: line:1:7: executing \"line\" at <.n>: n is not a method but has arguments" },
	{ "{{5 6}}",
	  FAILS "template: line:1:2: executing \"line\" at <5>: can't give argument to non-function 5" },
	{ "{{1 | (2)}}",
	  FAILS "template: line:1:2: executing \"line\" at <1>: can't give argument to non-function 2" },
	{ "{{nil}}", FAILS "template: line:1:2: executing \"line\" at <nil>: nil is not a command" },
	{ "{{template \"X\"}}", FAILS
	  "template: line:1:11: executing \"line\" at <{{template \"X\"}}>: template \"X\" not defined" },
	{ "{{define \"T\"}}{{.b}}{{end}}{{template \"T\" .a}}",
	  FAILS "template: line:1:16: executing \"T\" at <.b>: can't evaluate field b in type string" },
	{ "{{eq .n 42}}", FAILS "template: line:1:2: executing \"line\" at <eq .n 42>: error calling eq: "
				"incompatible types for comparison: string and int" },
	{ "{{range .}}\n{{.x.y}}{{end}}",
	  FAILS "template: line:2:4: executing \"line\" at <.x.y>: can't evaluate field x in type string" },
	{ "x\ny {{upper\n 5}}",
	  FAILS "template: line:3:1: executing \"line\" at <5>: expected string; found 5" },
	{ "{{if .a}}\n  {{- .n -}}\n{{end}}", "42" },
};

/* Literals and how values print. */
static const struct render literals[] = {
	{ "{{'x'}} {{0b11}} {{1_000}} {{0x1p4}} {{0x1F}} {{017}} {{-5}} {{.5}} {{5.}}",
	  "120 3 1000 16 31 15 -5 0.5 5" },
	{ "{{999999.0}} {{1000000.0}} {{1234567.5}} {{0.0001}} {{0.00001}} {{1e21}}",
	  "999999 1e+06 1.2345675e+06 0.0001 1e-05 1e+21" },
	{ "{{\"a\\tb\\x41\\u00e9\"}} {{`raw`}} {{'\\n'}} {{'\\x41'}} {{'\\''}} {{'\\u00e9'}}",
	  "a\tbAé raw 10 65 39 233" },
	{ "{{true}} {{1i}} {{1+2i}}", "true (0+1i) (1+2i)" },
	{ "{{fromJson .q}}", "map[a:[1 2.5 z] b:1 e:[] n:<nil> o:map[x:y] t:true]" },
	{ "{{fromJson \"[1,2.5,\\\"z\\\",null,true]\"}}", "[1 2.5 z <nil> true]" },
	{ "{{float64 \"nan\"}} {{float64 \"inf\"}} {{float64 \"-inf\"}}", "NaN +Inf -Inf" },
	{ "{{(fromJson .q).nope}} {{(fromJson .q).n}}", "<no value> <no value>" },
	{ "{{print nil true 1.5 \"a\"}}", "<nil> true 1.5a" },
	{ "{{__timestamp__}}", "2026-01-15 11:59:54.045305774 +0000 UTC" },
	{ "{{index .a 1}}", "101" },
	{ "{{18446744073709551615}}", FAILS "template: line:1:2: executing \"line\" at "
					    "<18446744073709551615>: 18446744073709551615 overflows int" },
};

/* What Go's templates have by themselves. */
static const struct render go_functions[] = {
	{ "{{and 1 0}} {{or 0 \"x\"}} {{and .e .n}}| {{.a | and 1}} {{or (eq 1 1) (div 1 0)}}",
	  "0 x | Hello true" },
	{ "{{not 0}} {{not .a}} {{not nil}}", "true false true" },
	{ "{{eq 1 2 1}} {{eq \"a\" \"a\"}} {{eq 1.5 1.5}} {{eq nil nil}} {{eq .a nil}} {{eq (add 1 1) 2}} "
	  "{{eq (index .a 0) 72}}",
	  "true true true true false true true" },
	{ "{{ne \"a\" \"b\"}} {{lt 1 2}} {{le 2 2}} {{gt 2 1}} {{ge 1 2}} {{lt \"a\" \"b\"}}",
	  "true true true true false true" },
	{ "{{eq 1}}", FAILS "template: line:1:2: executing \"line\" at <eq 1>: error calling eq: missing "
			    "argument for comparison" },
	{ "{{eq 1 1.0}}", FAILS "template: line:1:2: executing \"line\" at <eq 1 1.0>: error calling eq: "
				"incompatible types for comparison: int and float64" },
	{ "{{lt .n 42}}", FAILS "template: line:1:2: executing \"line\" at <lt .n 42>: error calling lt: "
				"incompatible types for comparison: string and int" },
	{ "{{lt true false}}", FAILS "template: line:1:2: executing \"line\" at <lt true false>: error "
				     "calling lt: invalid type for comparison" },
	{ "{{eq (fromJson \"[]\") (fromJson \"[]\")}}",
	  FAILS "template: line:1:2: executing \"line\" at <eq (fromJson \"[]\") (fromJson \"[]\")>: error "
		"calling eq: non-comparable type []: []interface {}" },
	{ "{{len .a}} {{len .u}} {{len (fromJson .q)}}", "5 7 6" },
	{ "{{len 5}}",
	  FAILS "template: line:1:2: executing \"line\" at <len 5>: error calling len: len of type int" },
	{ "{{index (fromJson .q) \"a\" 1}} {{index (fromJson .q) \"o\" \"x\"}} {{index (fromJson .q) "
	  "\"zz\"}}",
	  "2.5 y <no value>" },
	{ "{{index .nope 3}}", FAILS "template: line:1:2: executing \"line\" at <index .nope 3>: error "
				     "calling index: index out of range: 3" },
	{ "{{index (fromJson .q) \"a\" 3}}",
	  FAILS "template: line:1:2: executing \"line\" at <index (fromJson .q) \"a\" 3>: error calling "
		"index: reflect: slice index out of range" },
	{ "{{index (fromJson .q) 1}}",
	  FAILS "template: line:1:2: executing \"line\" at <index (fromJson .q) 1>: error calling index: "
		"value has type int; should be string" },
	{ "{{index nil 1}}", FAILS "template: line:1:2: executing \"line\" at <index nil 1>: error calling "
				   "index: index of untyped nil" },
	{ "{{slice .a 1 3}} {{slice .a 2}} {{slice .a}}", "el llo Hello" },
	{ "{{slice .a 3 1}}", FAILS "template: line:1:2: executing \"line\" at <slice .a 3 1>: error calling "
				    "slice: invalid slice index: 3 > 1" },
	{ "{{slice .a 9}}", FAILS "template: line:1:2: executing \"line\" at <slice .a 9>: error calling "
				  "slice: index out of range: 9" },
	{ "{{print \"a\" \"b\" 1 2 true \"c\"}}", "ab1 2 truec" },
	{ "{{print 1 2 \"a\" \"b\" 3}}", "1 2ab3" },
	{ "{{println 1 \"a\" 2}}", "1 a 2\n" },
	{ "{{html \"a'b\\\"c\"}} {{js \"<>&=\"}} {{urlquery \"a b/c\" \"d\"}}",
	  "a&#39;b&#34;c \\u003C\\u003E\\u0026\\u003D a+b%2Fcd" },
	{ "{{js \"it's\\t\\\\\"}} {{html nil}}", "it\\'s\\u0009\\\\ &lt;no value&gt;" },
	{ "{{call .a}}", FAILS "template: line:1:2: executing \"line\" at <call .a>: error calling call: "
			       "non-function .a of type string" },
	{ "{{upper}}", FAILS
	  "template: line:1:2: executing \"line\" at <upper>: wrong number of args for upper: want 1 got 0" },
	{ "{{upper .a .a}}", FAILS
	  "template: line:1:2: executing \"line\" at <upper>: wrong number of args for upper: want 1 got 2" },
	{ "{{mul}}", FAILS "template: line:1:2: executing \"line\" at <mul>: wrong number of args for mul: "
			   "want at least 1 got 0" },
	{ "{{upper 5}}", FAILS "template: line:1:8: executing \"line\" at <5>: expected string; found 5" },
	{ "{{upper (add 1 2)}}", FAILS "template: line:1:15: executing \"line\" at <2>: wrong type for "
				       "value; expected string; got int64" },
	{ "{{trunc \"x\" .a}}",
	  FAILS "template: line:1:8: executing \"line\" at <\"x\">: expected integer; found \"x\"" },
	{ "{{trunc .n .a}}", FAILS
	  "template: line:1:8: executing \"line\" at <.n>: wrong type for value; expected int; got string" },
	{ "{{upper nil}}",
	  FAILS "template: line:1:8: executing \"line\" at <nil>: cannot assign nil to string" },
	{ "{{unixEpoch 5}}",
	  FAILS "template: line:1:12: executing \"line\" at <5>: can't handle 5 for arg of type time.Time" },
};

/* Functions on texts. */
static const struct render texts[] = {
	{ "{{lower \"HÉ\"}} {{ToLower \"HI\"}} {{upper \"straße\"}} {{ToUpper \"é\"}}", "hé hi STRAßE É" },
	{ "{{upper .bad | printf \"%q\"}} {{title .bad | printf \"%q\"}}", "\"A�B\" \"A�b\"" },
	{ "{{title \"it's o_k a.b éa –x\"}}", "It'S O_k A.B Éa –x" },
	{ "{{trunc 2 \"Hello\"}} {{trunc -2 \"Hello\"}} {{trunc 9 \"Hello\"}} {{trunc 0 \"Hello\"}}|",
	  "He lo Hello |" },
	{ "{{trunc 4 .u | printf \"%x\"}}", "636166c3" },
	{ "{{substr 1 3 .a}} {{substr -1 3 .a}} {{substr 2 -1 .a}} {{substr 2 99 .a}}", "el Hel llo llo" },
	{ "{{substr 3 1 .a}}", FAILS "template: line:1:2: executing \"line\" at <substr 3 1 .a>: error "
				     "calling substr: runtime error: slice bounds out of range [3:1]" },
	{ "{{substr -1 99 .a}}",
	  FAILS "template: line:1:2: executing \"line\" at <substr -1 99 .a>: error calling substr: runtime "
		"error: slice bounds out of range [:99] with length 5" },
	{ "{{substr 10 99 .a}}", FAILS "template: line:1:2: executing \"line\" at <substr 10 99 .a>: error "
				       "calling substr: runtime error: slice bounds out of range [10:5]" },
	{ "{{contains \"ell\" .a}} {{hasPrefix \"He\" .a}} {{hasSuffix \"lo\" .a}}", "true true true" },
	{ "{{indent 2 .ml}}|{{nindent 3 .ml}}|{{indent 2 .e}}|",
	  "  l1\n  l2\n  l3|\n   l1\n   l2\n   l3|  |" },
	{ "{{indent -1 .a}}", FAILS "template: line:1:2: executing \"line\" at <indent -1 .a>: error calling "
				    "indent: strings: negative Repeat count" },
	{ "{{replace \"l\" \"L\" .a}} {{replace \"\" \"-\" .u}} {{Replace \"aaa\" \"a\" \"b\" 1}} {{Replace "
	  "\"aaa\" \"a\" \"b\" -1}} {{Replace \"aaa\" \"\" \"b\" 2}}",
	  "HeLLo -c-a-f-é- -x- baa bbb babaa" },
	{ "{{repeat 3 \"ab\"}}", "ababab" },
	{ "{{repeat -1 \"ab\"}}", FAILS "template: line:1:2: executing \"line\" at <repeat -1 \"ab\">: error "
					"calling repeat: strings: negative Repeat count" },
	{ "{{trim .sp}}|{{TrimSpace .sp}}|{{trimAll \"Ho\" .a}}|{{Trim \"xxhixx\" \"x\"}}|{{TrimLeft "
	  "\"xxhixx\" \"x\"}}|{{TrimRight \"xxhixx\" \"x\"}}",
	  "pad|pad|ell|hi|hixx|xxhi" },
	{ "{{trimPrefix \"He\" .a}} {{trimSuffix \"lo\" .a}} {{TrimPrefix .a \"He\"}} {{TrimSuffix .a "
	  "\"lo\"}}",
	  "llo Hel llo Hel" },
	{ "{{alignLeft 5 \"hi\"}}|{{alignRight 3 \"Hello\"}}|{{alignRight 5 .u}}|{{alignLeft -1 "
	  ".u}}|{{alignLeft 0 .u}}|",
	  "hi   |llo|afé x|café x||" },
	{ "{{alignLeft 2 .bad | printf \"%q\"}}", "\"a�\"" },
	{ "{{regexReplaceAll \"a(x*)b\" \"-axxb-ab-\" \"${1}W\"}} {{regexReplaceAll \"a(x*)b\" \"-axxb-\" "
	  "\"$1W\"}} {{regexReplaceAll \"a(?P<n>x*)b\" \"-axxb-\" \"<$n$$>\"}}",
	  "-xxW-W- -- -<xx$>-" },
	{ "{{regexReplaceAll \"x*\" \"axbxx\" \"-\"}} {{regexReplaceAll \"^\" \"ab\" \"-\"}} "
	  "{{regexReplaceAll \"\\\\b\" \"ab cd\" \"|\"}}",
	  "-a-b- -ab |ab| |cd|" },
	{ "{{regexReplaceAll \".\" .bad \"<$0>\" | printf \"%q\"}} {{regexReplaceAll \"b\" .bad \"c\" | "
	  "printf \"%q\"}}",
	  "\"<a><\\xff><b>\" \"a\\xffc\"" },
	{ "{{regexReplaceAllLiteral \"a\" \"banana\" \"$1\"}}", "b$1n$1n$1" },
	{ "{{regexReplaceAll \"(\" .a \"x\"}}",
	  FAILS "template: line:1:2: executing \"line\" at <regexReplaceAll \"(\" .a \"x\">: error calling "
		"regexReplaceAll: error parsing regexp: missing closing ): `(`" },
	{ "{{count \"l\" \"hello\"}} {{count \"\" \"abc\"}} {{count \"a*\" \"baac\"}}", "2 4 3" },
	{ "{{urlencode \"a b/c?é~\"}} {{urldecode \"a+b%2Fc%C3%A9\"}}", "a+b%2Fc%3F%C3%A9~ a b/cé" },
	{ "{{urldecode \"%zz\"}}", FAILS "template: line:1:2: executing \"line\" at <urldecode \"%zz\">: "
					 "error calling urldecode: invalid URL escape \"%zz\"" },
	{ "{{urldecode \"abc%4\"}}", FAILS "template: line:1:2: executing \"line\" at <urldecode \"abc%4\">: "
					   "error calling urldecode: invalid URL escape \"%4\"" },
	{ "{{b64enc .a}} {{b64dec \"SGVsbG8=\"}} {{b64dec \"SGVsbG8\"}} {{b64dec \"!!!\"}} {{b64dec \"a\"}} "
	  "{{b64dec \"YQ==x\"}}",
	  "SGVsbG8= Hello Hello illegal base64 data at input byte 0 illegal base64 data at input byte 0 "
	  "illegal base64 data at input byte 4" },
	{ "{{bytes \"1 MiB\"}} {{bytes \"10KB\"}} {{bytes \"5\"}}", "1.048576e+06 10000 5" },
	{ "{{bytes \"abc\"}}", FAILS "template: line:1:2: executing \"line\" at <bytes \"abc\">: error "
				     "calling bytes: strconv.ParseFloat: parsing \"\": invalid syntax" },
	{ "{{duration \"1h30m\"}} {{duration_seconds \"-1.5s\"}} {{duration \"250ms\"}}", "5400 -1.5 0.25" },
	{ "{{duration \"abc\"}}", FAILS "template: line:1:2: executing \"line\" at <duration \"abc\">: error "
					"calling duration: time: invalid duration \"abc\"" },
	{ "{{__line__}} {{len __line__}}", "{\"k\":\"v\",\"arr\":[10,20]} raw line 32" },
};

/* Functions on numbers; whatever is no number is 0. */
static const struct render numbers[] = {
	{ "{{int \"3.7\"}} {{int \"0x1f\"}} {{int \"010\"}} {{int \"007\"}} {{int \"0b11\"}} {{int "
	  "\"0o17\"}} {{int \"1_000\"}} {{int \"-3.9\"}}",
	  "3 31 8 7 3 15 1000 -3" },
	{ "{{int \"08\"}} {{int \"1e3\"}} {{int \" 5\"}} {{int \"\"}} {{int \"abc\"}} {{int nil}} {{int "
	  "true}} {{int -3.9}}",
	  "0 0 0 0 0 0 1 -3" },
	{ "{{int \"9223372036854775807\"}} {{int \"9223372036854775808\"}} {{int \".5\"}} {{int \"+5\"}}",
	  "9223372036854775807 0 0 5" },
	{ "{{float64 \"3.5\"}} {{float64 \"1e3\"}} {{float64 \"1_000\"}} {{float64 \"0x10\"}} {{float64 \" "
	  "1\"}} {{float64 \"\"}} {{float64 \"x\"}} {{float64 true}}",
	  "3.5 1000 1000 0 0 0 0 1" },
	{ "{{add 1 .n 3}} {{add .f 1}} {{add}} {{sub 5 7}} {{mul 2 3 4}} {{div 7 2}} {{div -7 2}} {{mod -7 "
	  "3}} {{max 1 5 3}} {{min 4 2 8}}",
	  "46 3 0 -2 24 3 -3 -1 5 2" },
	{ "{{add 9223372036854775807 1}} {{div -9223372036854775808 -1}} {{mod -9223372036854775808 -1}}",
	  "-9223372036854775808 -9223372036854775808 0" },
	{ "{{div 1 0}}", FAILS "template: line:1:2: executing \"line\" at <div 1 0>: error calling div: "
			       "runtime error: integer divide by zero" },
	{ "{{mod 1 .nope}}", FAILS "template: line:1:2: executing \"line\" at <mod 1 .nope>: error calling "
				   "mod: runtime error: integer divide by zero" },
	{ "{{addf 0.1 0.2}} {{addf}} {{addf .f 1.5}} {{subf 5.5 2 1}} {{subf 0.3 0.1}} {{mulf 1.1 1.1}} "
	  "{{divf 1 3}} {{divf -2 3}} {{divf 7 2}}",
	  "0.3 0 4.2 2.5 0.2 1.21 0.3333333333333333 -0.6666666666666667 3.5" },
	{ "{{divf 5e-17 1}} {{divf 4e-17 1}} {{divf 1e300 1e-300}} {{mulf 1e300 1e300}} {{addf 1e300 "
	  "1e-300}}",
	  "1e-16 0 +Inf +Inf 1e+300" },
	{ "{{divf 1 0}}", FAILS
	  "template: line:1:2: executing \"line\" at <divf 1 0>: error calling divf: decimal division by 0" },
	{ "{{addf \"nan\" 1}}", FAILS "template: line:1:2: executing \"line\" at <addf \"nan\" 1>: error "
				      "calling addf: Cannot create a Decimal from NaN" },
	{ "{{maxf 1.5 2.5}} {{minf 1.5 0.5}} {{maxf \"nan\" 1}}", "2.5 0.5 NaN" },
	{ "{{ceil \"2.1\"}} {{floor 1.8}} {{floor -1.5}} {{ceil 1.2}}", "3 1 -2 2" },
	{ "{{round 2.5 0}} {{round -2.5 0}} {{round 123.5555 3}} {{round 2.3 0 0.2}} {{round 125 -1}}",
	  "3 -3 123.556 3 130" },
	{ "{{fromJson \"not\"}} {{fromJson \"[1,2\"}} {{fromJson \"01\"}} {{fromJson \"1 2\"}} {{fromJson "
	  "\"{\\\"a\\\":1,\\\"a\\\":2}\"}}",
	  "<no value> <no value> <no value> <no value> map[a:2]" },
	{ "{{fromJson \"\\\"\\\\u00e9\\\\ud83d\\\\ude00\\\\ud800x\\\\n\\\"\"}}", "é😀�x\n" },
	{ "{{default \"-\" .nope}} {{default 5 0}} {{default \"-\" .a}} {{default \"d\" false}} {{default "
	  "\"d\" (fromJson \"[]\")}} {{default \"d\"}}",
	  "- 5 Hello d d d" },
};

/* printf: flags, width, precision, indexes, and what does not fit. */
static const struct render formats[] = {
	{ "{{printf \"%5d|%-8s|%q|%08.3f\" 42 .a .a 3.14159}}", "   42|Hello   |\"Hello\"|0003.142" },
	{ "{{printf \"%d|%+d|% d|%05d|%-5d|%5d|%x|%X|%#x|%o|%#o|%O|%b|%c|%q|%U\" 42 42 42 42 42 42 42 42 42 "
	  "42 42 42 42 42 42 42}}",
	  "42|+42| 42|00042|42   |   42|2a|2A|0x2a|52|052|0o52|101010|*|'*'|U+002A" },
	{ "{{printf \"%d|%+d|%05d|%-5d|%x|%b|%.5d\" -42 -42 -42 -42 -42 -42 -42}}",
	  "-42|-42|-0042|-42  |-2a|-101010|-00042" },
	{ "{{printf \"%f|%.2f|%8.2f|%-8.2f|%+.1f|%08.2f|%e|%E|%g|%G|%.3g\" 3.14159 3.14159 3.14159 3.14159 "
	  "3.14159 3.14159 3.14159 3.14159 3.14159 3.14159 3.14159}}",
	  "3.141590|3.14|    3.14|3.14    |+3.1|00003.14|3.141590e+00|3.141590E+00|3.14159|3.14159|3.14" },
	{ "{{printf \"%v|%g|%e|%f\" 1e6 1e6 1e6 1e6}} {{printf \"%g %v %x\" 1e-7 100000.0 1.5}}",
	  "1e+06|1e+06|1.000000e+06|1000000.000000 1e-07 100000 0x1.8p+00" },
	{ "{{printf \"%5v|%+v|%06v|% v\" (float64 \"inf\") (float64 \"nan\") (float64 \"-inf\") 1.5}}",
	  " +Inf|NaN|  -Inf| 1.5" },
	{ "{{printf \"%s|%10s|%-10s|%.2s|%q|%#q|%+q|%x|% x|%X\" \"hé\" \"hé\" \"hé\" \"hé\" \"hé\" \"hé\" "
	  "\"hé\" \"hé\" \"hé\" \"hé\"}}",
	  "hé|        hé|hé        |hé|\"hé\"|`hé`|\"h\\u00e9\"|68c3a9|68 c3 a9|68C3A9" },
	{ "{{printf \"%t|%5t|%v|%-6t|\" true false true true}}", "true|false|true|true  |" },
	{ "{{printf \"%v|%+v|%#v|%T\" .a .a .a .a}} {{printf \"%v %s %d\" (fromJson \"[1,\\\"a\\\",null]\") "
	  "(fromJson \"[\\\"a\\\"]\") (fromJson \"[1]\")}}",
	  "Hello|Hello|\"Hello\"|string [1 a <nil>] [a] [%!d(float64=1)]" },
	{ "{{printf \"%#v\" (fromJson .q)}}",
	  "map[string]interface {}{\"a\":[]interface {}{1, 2.5, \"z\"}, \"b\":1, \"e\":[]interface {}{}, "
	  "\"n\":interface {}(nil), \"o\":map[string]interface {}{\"x\":\"y\"}, \"t\":true}" },
	{ "{{printf \"%T %T %T %T %T %T %T\" 1 \"a\" 1.5 true nil (fromJson \"[]\") (fromJson \"{}\")}} "
	  "{{printf \"%T %T\" . (add 1 2)}}",
	  "int string float64 bool <nil> []interface {} map[string]interface {} map[string]string int64" },
	{ "{{printf \"%[2]d %[1]d\" 1 2}} {{printf \"%[3]d\" 1}} {{printf \"%[x]d\" 1}} {{printf \"%[1]s "
	  "%[1]q\" \"x\"}}",
	  "2 1 %!d(BADINDEX) %!d(BADINDEX) x \"x\"" },
	{ "{{printf \"%*d|%-*d|\" 5 1 5 2}} {{printf \"%.*f\" 2 3.14159}} {{printf \"%*d\" \"x\" 1}}",
	  "    1|2    | 3.14 %!(BADWIDTH)1" },
	{ "{{printf \"%s\" 5}} {{printf \"%d\" \"a\"}} {{printf \"%d\"}} {{printf \"x\" 1}} {{printf \"%z\" "
	  "1}} {{printf \"%!\"}} {{printf \"%\"}} {{printf \"%d\" nil}} {{printf \"100%%\"}}",
	  "%!s(int=5) %!d(string=a) %!d(MISSING) x%!(EXTRA int=1) %!z(int=1) %!!(MISSING) %!(NOVERB) "
	  "%!d(<nil>) 100%" },
	{ "{{printf \"%d %s\" __timestamp__.Month __timestamp__.Month}}", "1 January" },
	{ "{{printf 5}}", FAILS "template: line:1:9: executing \"line\" at <5>: expected string; found 5" },
};

/* Times, layouts and zones. */
static const struct render times[] = {
	{ "{{unixEpoch __timestamp__}} {{__timestamp__ | unixEpochMillis}} {{__timestamp__ | "
	  "unixEpochNanos}}",
	  "1768478394 1768478394045 1768478394045305774" },
	{ "{{date \"2006-01-02T15:04:05.000Z07:00\" __timestamp__}} {{date \"2006-01-02\" 1700000000}}",
	  "2026-01-15T11:59:54.045Z 2023-11-14" },
	{ "{{unixToTime \"19723\"}} {{unixToTime \"1704067200\"}} {{unixToTime .ts}} {{unixToTime "
	  "\"1704067200000001\"}} {{unixToTime \"1704067200000000001\"}}",
	  "2024-01-01 00:00:00 +0000 UTC 2024-01-01 00:00:00 +0000 UTC 2023-11-14 22:13:20.123 +0000 UTC "
	  "2024-01-01 00:00:00.000001 +0000 UTC 2024-01-01 00:00:00.000000001 +0000 UTC" },
	{ "{{unixToTime \"123\"}}",
	  FAILS "template: line:1:2: executing \"line\" at <unixToTime \"123\">: error calling unixToTime: "
		"unable to parse time '123': %!w(<nil>)" },
	{ "{{unixToTime \"x\"}}",
	  FAILS "template: line:1:2: executing \"line\" at <unixToTime \"x\">: error calling unixToTime: "
		"unable to parse time 'x': strconv.ParseInt: parsing \"x\": invalid syntax" },
	{ "{{toDate \"2006-01-02\" \"2024-02-29\"}} {{toDate \"2006\" \"abc\" | unixEpoch}} {{toDate "
	  "\"2006-01-02\" \"2023-02-29\"}}",
	  "2024-02-29 00:00:00 +0000 UTC -62135596800 0001-01-01 00:00:00 +0000 UTC" },
	{ "{{toDateInZone \"2006-01-02\" \"America/New_York\" \"2021-11-02\"}}",
	  "2021-11-02 00:00:00 -0400 EDT" },
	{ "{{toDateInZone \"2006-01-02 15:04\" \"Europe/Berlin\" \"2024-03-31 02:30\"}} {{toDateInZone "
	  "\"2006-01-02 15:04\" \"Europe/Berlin\" \"2024-10-27 02:30\"}}",
	  "2024-03-31 03:30:00 +0200 CEST 2024-10-27 02:30:00 +0100 CET" },
	{ "{{toDateInZone \"2006-01-02 15:04 -0700\" \"Europe/Berlin\" \"2024-07-27 02:30 +0200\"}} "
	  "{{toDateInZone \"2006-01-02 15:04 -0700\" \"Europe/Berlin\" \"2024-07-27 02:30 +0300\"}}",
	  "2024-07-27 02:30:00 +0200 CEST 2024-07-27 02:30:00 +0300 +0300" },
	{ "{{toDateInZone \"2006-01-02 15:04 MST\" \"Europe/Berlin\" \"2024-07-27 02:30 CEST\"}} "
	  "{{toDateInZone \"2006-01-02 15:04 MST\" \"Europe/Berlin\" \"2024-07-27 02:30 PST\"}} "
	  "{{toDateInZone \"2006-01-02 15:04 MST\" \"Europe/Berlin\" \"2024-07-27 02:30 GMT+5\"}}",
	  "2024-07-27 02:30:00 +0200 CEST 2024-07-27 02:30:00 +0000 PST 2024-07-27 07:30:00 +0500 GMT+5" },
	{ "{{toDateInZone \"2006-01-02\" \"Nope/Zone\" \"2024-10-27\"}} {{toDateInZone \"2006-01-02\" "
	  "\"../etc/passwd\" \"2090-01-01\"}}",
	  "2024-10-27 00:00:00 +0000 UTC 2090-01-01 00:00:00 +0000 UTC" },
	{ "{{toDateInZone \"2006-01-02\" \"Europe/Berlin\" \"2090-07-01\"}} {{toDateInZone \"2006-01-02\" "
	  "\"Australia/Sydney\" \"2090-01-01\"}} {{toDateInZone \"2006-01-02\" \"Asia/Kolkata\" "
	  "\"2024-01-01\"}}",
	  "2090-07-01 00:00:00 +0200 CEST 2090-01-01 00:00:00 +1100 AEDT 2024-01-01 00:00:00 +0530 IST" },
	{ "{{__timestamp__.Format \"Mon Jan 2 15:04:05 MST 2006\"}} {{__timestamp__.Format \"Monday, "
	  "02-Jan-06 3:04PM pm\"}} {{__timestamp__.Format \"January _2 002 __2 1 01 2 03 4 05 5\"}}",
	  "Thu Jan 15 11:59:54 UTC 2026 Thursday, 15-Jan-26 11:59AM am January 15 015  15 1 01 15 11 59 54 "
	  "54" },
	{ "{{__timestamp__.Format \".000 .999 .000000000 ,999999999 Z0700 Z07:00 -0700 -07:00 -07 "
	  "-07:00:00\"}}",
	  ".045 .045 .045305774 ,045305774 Z Z +0000 +00:00 +00 +00:00:00" },
	{ "{{__timestamp__.Format \"Janet Mond _2006 15h04m 2006y\"}}", "Janet Mond _2026 11h59m 2026y" },
	{ "{{toDate \"Jan _2 2006 3:04PM\" \"feb  3 2024 12:05AM\"}} {{toDate \"January 2, 2006\" \"March 5, "
	  "2024\"}} {{toDate \"Mon 02/Jan/2006:15:04:05 -0700\" \"tue 10/Oct/2000:13:55:36 -0700\"}}",
	  "2024-02-03 00:05:00 +0000 UTC 2024-03-05 00:00:00 +0000 UTC 2000-10-10 13:55:36 -0700 -0700" },
	{ "{{toDate \"2006-01-02T15:04:05Z07:00\" \"2024-01-02T03:04:05.123456789Z\"}} {{toDate "
	  "\"15:04:05.000\" \"01:02:03.5\" | unixEpoch}} {{toDate \"15:04:05.999\" \"01:02:03,5\"}} {{toDate "
	  "\"2006 002\" \"2024 060\"}}",
	  "2024-01-02 03:04:05.123456789 +0000 UTC -62135596800 0000-01-01 01:02:03.5 +0000 UTC 2024-02-29 "
	  "00:00:00 +0000 UTC" },
	{ "{{__timestamp__.Year}} {{__timestamp__.Month}} {{__timestamp__.Weekday}} "
	  "{{__timestamp__.YearDay}} {{__timestamp__.Unix}} {{__timestamp__.Hour}}:{{__timestamp__.Minute}}",
	  "2026 January Thursday 15 1768478394 11:59" },
	{ "{{__timestamp__.Add 3600000000000}} {{__timestamp__.AddDate 0 1 20}} {{__timestamp__.Truncate "
	  "3600000000000}}",
	  "2026-01-15 12:59:54.045305774 +0000 UTC 2026-03-07 11:59:54.045305774 +0000 UTC 2026-01-15 "
	  "11:00:00 +0000 UTC" },
	{ "{{(__timestamp__.Sub (unixToTime \"1768470000\")).Seconds}} {{__timestamp__.Sub (unixToTime "
	  "\"1768470000\")}} {{__timestamp__.After (unixToTime \"1768470000\")}} {{__timestamp__.IsZero}}",
	  "8394.045305774 2h19m54.045305774s true false" },
	{ "{{__timestamp__.Nope}}", FAILS "template: line:1:2: executing \"line\" at <__timestamp__>: can't "
					  "evaluate field Nope in type time.Time" },
	{ "{{__timestamp__.Format}}", FAILS "template: line:1:2: executing \"line\" at <__timestamp__>: "
					    "wrong number of args for Format: want 1 got 0" },
	{ "{{__timestamp__.Add 1.5}}",
	  FAILS "template: line:1:20: executing \"line\" at <1.5>: expected integer; found 1.5" },
};

/* Templates that are refused when the query is read. */
static const struct render refused[] = {
	{ "{{.a", "template: line:1: unclosed action" },
	{ "{{", "template: line:1: unclosed action" },
	{ "x{{ .a | printf", "template: line:1: unclosed action" },
	{ "{{/* abc", "template: line:1: unclosed comment" },
	{ "{{/* a */ .a}}", "template: line:1: comment ends before closing delimiter" },
	{ "{{nope .a}}", "template: line:1: function \"nope\" not defined" },
	{ "{{if .a}}", "template: line:1: unexpected EOF" },
	{ "{{if .a}}{{else}}", "template: line:1: unexpected EOF" },
	{ "{{end}}", "template: line:1: unexpected {{end}}" },
	{ "{{else}}", "template: line:1: unexpected {{else}}" },
	{ "{{break}}", "template: line:1: {{break}} outside {{range}}" },
	{ "{{continue}}", "template: line:1: {{continue}} outside {{range}}" },
	{ "{{$y}}", "template: line:1: undefined variable \"$y\"" },
	{ "{{if}}x{{end}}", "template: line:1: missing value for if" },
	{ "{{range}}x{{end}}", "template: line:1: missing value for range" },
	{ "{{}}", "template: line:1: missing value for command" },
	{ "{{ -}}", "template: line:1: missing value for command" },
	{ "{{.a}", "template: line:1: bad character U+007D '}'" },
	{ "{{.a | | .b}}", "template: line:1: unexpected \"|\" in command" },
	{ "{{(.a}}", "template: line:1: unclosed left paren" },
	{ "{{.a)}}", "template: line:1: unexpected right paren" },
	{ "{{()}}", "template: line:1: missing value for parenthesized pipeline" },
	{ "{{$x, $y := .}}", "template: line:1: too many declarations in command" },
	{ "{{range $x,5 := .}}{{end}}", "template: line:1: range can only initialize variables" },
	{ "{{.a := 1}}", "template: line:1: unexpected \":=\" in operand" },
	{ "{{$x : 1}}", "template: line:1: undefined variable \"$x\"" },
	{ "{{.a!}}", "template: line:1: bad character U+0021 '!'" },
	{ "{{€}}", "template: line:1: unrecognized character in action: U+20AC '€'" },
	{ "{{\"x}}", "template: line:1: unterminated quoted string" },
	{ "{{'a", "template: line:1: unterminated character constant" },
	{ "{{`a", "template: line:1: unterminated raw quoted string" },
	{ "{{'ab'}}", "template: line:1: malformed character constant: 'ab'" },
	{ "{{\"\\q\"}}", "template: line:1: invalid syntax" },
	{ "{{08}}", "template: line:1: integer overflow: \"08\"" },
	{ "{{5abc}}", "template: line:1: bad number syntax: \"5a\"" },
	{ "{{1.2.3}}", "template: line:1: unexpected \".3\" in operand" },
	{ "{{99999999999999999999}}", "template: line:1: integer overflow: \"99999999999999999999\"" },
	{ "{{template}}", "template: line:1: unexpected \"}}\" in template clause" },
	{ "{{template .a}}", "template: line:1: unexpected \".a\" in template clause" },
	{ "{{define \"x\"}}", "template: line:1: unexpected EOF" },
	{ "{{if .a}}{{define \"x\"}}{{end}}{{end}}", "template: line:1: unexpected <define> in command" },
	{ "{{if .a}}1{{else}}2{{else}}3{{end}}", "template: line:1: expected end; found {{else}}" },
	{ "{{with .nope}}1{{else if .a}}2{{end}}", "template: line:1: unexpected <if> in input" },
	{ "{{\"a\".x}}", "template: line:1: unexpected . after term \"\\\"a\\\"\"" },
	{ "{{\"a\" | 5}}", "template: line:1: non executable command in pipeline stage 2" },
	{ "{{define \"T\"}}a{{end}}{{define \"T\"}}b{{end}}",
	  "template: line:1: template: multiple definition of template \"T\"" },
	{ "\n\n{{.a\n", "template: line:4: unclosed action started at line:3" },
	{ "{{if .a}}\n\n{{nope}}", "template: line:3: function \"nope\" not defined" },
	{ "{{\"a\nb\"}}", "template: line:1: unterminated quoted string" },
};

struct tmpl_test {
	struct arena query, entry;
	struct label_base base;
	struct label_set set;
	struct tmpl_run run;
	struct buf text;
};

static int setup(void **state)
{
	struct tmpl_test *t = xcalloc(1, sizeof(*t));

	label_set_init(&t->set);
	tmpl_run_init(&t->run);
	label_base_init(&t->base, (struct labels){ entry_labels, ARRAY_LEN(entry_labels) }, SLICE(""),
			&t->query);
	label_set_start(&t->set, &t->base);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct tmpl_test *t = *state;

	tmpl_run_fini(&t->run);
	label_set_fini(&t->set);
	arena_fini(&t->query);
	arena_fini(&t->entry);
	buf_fini(&t->text);
	free(t);
	return 0;
}

static struct tmpl *parse(struct tmpl_test *t, const char *text)
{
	struct tmpl *tmpl;
	struct err err;

	if (tmpl_parse("line", slice_cstr(text), &t->query, &tmpl, &err) == -1)
		fail_msg("%s: %s", text, err.msg);
	return tmpl;
}

static void start(struct tmpl_test *t, bool snapshot)
{
	struct tmpl_data data = { entry_ts, slice_cstr(entry_line), &t->set };

	tmpl_run_start(&t->run, &data, snapshot, &t->entry);
}

static const char *finish(struct tmpl_test *t, const struct tmpl *tmpl)
{
	struct slice out, error;

	buf_reset(&t->text);
	if (tmpl_run(&t->run, tmpl, &out, &error)) {
		buf_add(&t->text, out);
	} else {
		buf_puts(&t->text, FAILS);
		buf_add(&t->text, error);
	}
	buf_cstr_end(&t->text);
	return t->text.p;
}

static const char *render(struct tmpl_test *t, const char *text)
{
	arena_reset(&t->entry);
	start(t, false);
	return finish(t, parse(t, text));
}

static void check(void **state, const struct render *rows, size_t n)
{
	struct tmpl_test *t = *state;

	for (size_t i = 0; i < n; i++) {
		const char *got = render(t, rows[i].tmpl);

		if (strcmp(got, rows[i].text) != 0)
			fail_msg("%s\n  gives   %s\n  instead %s", rows[i].tmpl, got, rows[i].text);
	}
}

#define CHECKED(name)                                                                                        \
	static void test_##name(void **state)                                                                \
	{                                                                                                    \
		check(state, name, ARRAY_LEN(name));                                                         \
	}
CHECKED(structure)
CHECKED(literals)
CHECKED(go_functions)
CHECKED(texts)
CHECKED(numbers)
CHECKED(formats)

static void test_times(void **state)
{
	if (zone_find(SLICE("Europe/Berlin")) == NULL)
		skip(); /* no time zones on this system */
	check(state, times, ARRAY_LEN(times));
}

static void test_refused(void **state)
{
	struct tmpl_test *t = *state;

	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct tmpl *tmpl;
		struct err err;

		if (tmpl_parse("line", slice_cstr(refused[i].tmpl), &t->query, &tmpl, &err) == 0)
			fail_msg("%s is accepted", refused[i].tmpl);
		assert_string_equal(err.msg, refused[i].text);
	}
}

/* A template nested n times into itself. */
static char *nested(struct tmpl_test *t, const char *open, const char *close, size_t n)
{
	buf_reset(&t->text);
	for (size_t i = 0; i < n; i++)
		buf_puts(&t->text, open);
	for (size_t i = 0; i < n; i++)
		buf_puts(&t->text, close);
	return arena_cstr(&t->query, buf_slice(&t->text));
}

static void test_nesting_is_bounded(void **state)
{
	struct tmpl_test *t = *state;
	struct tmpl *tmpl;
	struct err err;

	assert_string_equal(render(t, nested(t, "{{if .a}}", "x{{end}}", TMPL_MAX_DEPTH)),
			    nested(t, "", "x", TMPL_MAX_DEPTH));
	char *deeper = nested(t, "{{if .a}}", "{{end}}", TMPL_MAX_DEPTH + 1);
	assert_int_equal(tmpl_parse("line", slice_cstr(deeper), &t->query, &tmpl, &err), -1);
	assert_string_equal(err.msg, "template: line:1: max expression depth exceeded");
	buf_reset(&t->text);
	buf_puts(&t->text, "{{");
	for (size_t i = 0; i <= TMPL_MAX_DEPTH; i++)
		buf_putc(&t->text, '(');
	assert_int_equal(tmpl_parse("line", buf_slice(&t->text), &t->query, &tmpl, &err), -1);
	assert_string_equal(err.msg, "template: line:1: max expression depth exceeded");
}

static void test_running_is_bounded(void **state)
{
	static const struct render rows[] = {
		{ "{{define \"T\"}}{{template \"T\" .}}{{end}}{{template \"T\" .}}", FAILS
		  "template: line:1:29: executing \"T\" at <.>: exceeded maximum template depth (1000)" },
		{ "{{range 2000000000}}{{end}}",
		  FAILS "template: line:1:8: executing \"line\" at <2000000000>: "
			"template needs more than 1048576 steps for one line" },
		{ "{{repeat 2000000 .a}}", FAILS
		  "template: line:1:2: executing \"line\" at <repeat 2000000 .a>: error calling repeat: "
		  "text longer than 1048576 bytes" },
		{ "{{range 3}}{{repeat 500000 \"x\"}}{{end}}",
		  FAILS "template: line:1:13: executing \"line\" at <{{repeat 500000 \"x\"}}>: "
			"output longer than 1048576 bytes" },
		{ "{{$x := repeat 100000 \"x\"}}{{range 1000}}{{$x = upper $x}}{{end}}",
		  FAILS "template: line:1:48: executing \"line\" at <upper $x>: error calling upper: "
			"template needs more than 1048576 steps for one line" },
		{ "{{printf \"%1000000d%1000000d\" 1 2}}",
		  FAILS "template: line:1:2: executing \"line\" at <printf \"%1000000d%1000000d\" 1 2>: "
			"error calling printf: text longer than 1048576 bytes" },
		{ "{{$x := repeat 300000 \"x\"}}{{regexReplaceAll \".*\" $x \"$0$0$0$0\"}}", FAILS
		  "template: line:1:29: executing \"line\" at <regexReplaceAll \".*\" $x \"$0$0$0$0\">: "
		  "error calling regexReplaceAll: text longer than 1048576 bytes" },
		{ "{{mulf 1e300 1e300 1e300 1e300 1e300 1e300 1e300 1e300}}", "+Inf" },
	};

	check(state, rows, ARRAY_LEN(rows));
}

/* JSON deeper than that is no value. */
static void test_json_depth(void **state)
{
	struct tmpl_test *t = *state;

	buf_reset(&t->text);
	for (size_t i = 0; i <= TMPL_JSON_MAX_DEPTH; i++)
		buf_putc(&t->text, '[');
	for (size_t i = 0; i <= TMPL_JSON_MAX_DEPTH; i++)
		buf_putc(&t->text, ']');
	struct slice deep = arena_dup(&t->query, buf_slice(&t->text));
	assert_int_equal(tmpl_json(deep, &t->entry).kind, TMPL_NULL);
	assert_int_equal(tmpl_json(slice_sub(deep, 1, deep.n - 2), &t->entry).kind, TMPL_LIST);
}

static void test_errors_are_labels_of_templates(void **state)
{
	struct tmpl_test *t = *state;

	label_set_error(&t->set, SLICE("JSONParserErr"), SLICE("why"));
	assert_string_equal(render(t, "{{.__error__}}: {{.__error_details__}}"), "JSONParserErr: why");
	assert_string_equal(render(t, "{{index . \"__error__\"}}"), "JSONParserErr");
}

static void test_snapshot(void **state)
{
	struct tmpl_test *t = *state;
	struct tmpl *tmpl = parse(t, "{{.a}}");

	start(t, false);
	label_set_put(&t->set, SLICE("a"), SLICE("new"));
	assert_string_equal(finish(t, tmpl), "new");
	start(t, true);
	label_set_put(&t->set, SLICE("a"), SLICE("newer"));
	assert_string_equal(finish(t, tmpl), "new");
}

static void add_read(void *arg, struct slice name)
{
	buf_printf(arg, "%.*s ", SLICE_ARG(name));
}

static void test_reads(void **state)
{
	static const struct {
		const char *tmpl, *fields;
		bool all, clock;
	} rows[] = {
		{ "plain", "", false, false },
		{ "{{.a}} {{upper .b}} {{$.c.d}}", "a b c ", false, false },
		{ "{{if .a}}{{.b}}{{else}}{{.c}}{{end}}", "a b c ", false, false },
		{ "{{with .a}}{{.}}{{end}}", "a ", false, false },
		{ "{{with .a}}{{index $ \"b\"}}{{end}}", "a ", true, false },
		{ "{{range $k, $v := .}}{{$k}}{{end}}", "", true, false },
		{ "{{range fromJson .q}}{{.id}}{{end}}", "q id ", false, false },
		{ "{{index . .n}}", "n ", true, false },
		{ "{{define \"T\"}}{{.}}{{end}}{{template \"T\" .a}}", "a ", false, false },
		{ "{{define \"T\"}}{{.x}}{{end}}{{template \"T\" .}}", "x ", true, false },
		{ "{{$x := .}}{{$x.a}}", "", true, false },
		{ "{{len __line__}}", "", false, false },
		{ "{{now | unixEpoch}}", "", false, true },
		{ "{{if eq .a \"x\"}}{{(now).Unix}}{{end}}", "a ", false, true },
		{ "{{date \"2006\" .a}}", "a ", false, true },
		{ "{{define \"T\"}}{{now}}{{end}}{{template \"T\" .a}}", "a ", false, true },
		{ "{{.now}} {{.update}} {{unixEpoch __timestamp__}} now", "now update ", false, false },
		{ "{{toDate \"2006\" \"2026\" | unixEpoch}}", "", false, false },
	};
	struct tmpl_test *t = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct tmpl_reads reads = { .field = add_read, .arg = &t->text };

		buf_reset(&t->text);
		tmpl_reads(parse(t, rows[i].tmpl), &reads);
		buf_cstr_end(&t->text);
		assert_string_equal(t->text.p, rows[i].fields);
		assert_int_equal(reads.all, rows[i].all);
		assert_int_equal(reads.clock, rows[i].clock);
	}
}

static void test_only_field(void **state)
{
	struct tmpl_test *t = *state;

	assert_true(slice_is(parse(t, "{{.msg}}")->only_field, "msg"));
	assert_true(slice_is(parse(t, "{{- .msg -}}")->only_field, "msg"));
	assert_null(parse(t, "{{.msg}} ")->only_field.p);
	assert_null(parse(t, "{{.msg.x}}")->only_field.p);
	assert_null(parse(t, "{{.msg | upper}}")->only_field.p);
	assert_null(parse(t, "{{$x := .msg}}")->only_field.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_structure),
		TEST(test_literals),
		TEST(test_go_functions),
		TEST(test_texts),
		TEST(test_numbers),
		TEST(test_formats),
		TEST(test_times),
		TEST(test_refused),
		TEST(test_nesting_is_bounded),
		TEST(test_running_is_bounded),
		TEST(test_json_depth),
		TEST(test_errors_are_labels_of_templates),
		TEST(test_snapshot),
		TEST(test_reads),
		TEST(test_only_field),
	};

	setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
