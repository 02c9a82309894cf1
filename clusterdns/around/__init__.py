"""What stands around a responder: each part takes what answers packets, and is one itself.

    packets ->  nsid | acl | any_type | rewrite | minimal | template | the responder
                                                                    <-  replies

That is the order in which CoreDNS has its plugins of these names. The rules mean what they mean there, so that a
cluster that changes its server keeps its answers.

A part is made of rules, which are plain values, once; a rule that can not be followed is a ValueError that says which
one it is. What goes past a part unchanged costs it a look-up, since all parts stand in front of the fast way.
"""
