# SPDX-License-Identifier: Apache-2.0
#
# conf.awk - ocid.conf.5 in scdoc's form, from conf/ocid.conf: a comment and "#key = value" make an
# entry, [section] a heading. Characters that scdoc would read are escaped.
function plain(text) {
    gsub(/[_*~`#\\]/, "\\\\&", text)
    return text
}
BEGIN {
    print "ocid.conf(5)\n\n# NAME\n\nocid.conf - settings of *ocid*(8)\n\n# SYNOPSIS\n"
    print "_$XDG\\_CONFIG\\_HOME/ocid/ocid.conf_, _/etc/ocid/ocid.conf_\n\n# DESCRIPTION\n"
    print "Sections in brackets, a line for each setting: _name = value_. A line that begins with #"
    print "or ; is a comment; one may also follow a value, after a space and ;. What is not set has"
    print "its default. *ocictl reload* reads the file again, all or nothing: it names the line at"
    print "fault and the old settings stay."
}
/^\[/ { started = 1; printf "\n# SECTION %s\n", $0; next }
!started { next }
/^#\[/ { printf "\n# SECTION %s\n\n%s\n", substr($0, 2), plain(text); text = ""; next }
/^#[a-z_]+ =/ {
    name = value = substr($0, 2)
    sub(/ =.*/, "", name)
    sub(/^[^=]*= ?/, "", value)
    printf "\n*%s*%s\n\t%s\n", plain(name), (value == "" ? "" : " = " plain(value)), plain(text)
    text = ""
    next
}
/^# / { text = text (text == "" ? "" : " ") substr($0, 3) }
END { print "\n# SEE ALSO\n\n*ocid*(8), *ocictl*(1)" }
