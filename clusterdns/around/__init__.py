"""What stands around a responder: each part takes what answers packets, and is one itself.

    packets ->  query_log | nsid | localhost | dns64 | acl | any_type | chaos | preference | rewrite | header | minimal
                | template | closed_hosts | whoami | the responder
                                                                    <-  replies

The rules mean what they mean in CoreDNS's plugins, so that a cluster that changes its server keeps its answers. The
conditions of views (expressions) decide before all that, in dispatch.

A part is made of rules, which are plain values, once; a rule that can not be followed is a ValueError that says which
one it is. What goes past a part unchanged costs it a look-up, since all parts stand in front of the fast way.
"""
